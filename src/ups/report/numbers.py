"""Numbers as a reader wants them."""

SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float | None, digits: int = 3) -> str:
    """So many significant digits, `1.2×10⁻⁵` for the very small and large, `–` for None."""
    if value is None:
        return "–"
    if value and not 1e-3 <= abs(value) < 1e5:
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        return f"{mantissa}×10{str(int(exponent)).translate(SUPERSCRIPT)}".replace("-", "−")
    text = f"{value:.{digits}g}"
    return (f"{value:,.0f}" if "e" in text or abs(value) >= 1000 else text).replace("-", "−")


def score(value: float | None) -> str:
    """Three significant digits with trailing zeros, so that columns of scores line up."""
    if value is None or value == 0 or not 1e-3 <= abs(value) < 999.5:
        return number(value)
    return f"{value:#.3g}".rstrip(".").replace("-", "−")


def percent(share: float, sign: bool = True) -> str:
    """A share as `+12 %`, below 10 % with one decimal."""
    digits = 1 if abs(share) < 0.0995 else 0
    return f"{100 * share:{'+' if sign else ''},.{digits}f}\u00a0%".replace("-", "−")


def milliseconds(value: float) -> str:
    """Milliseconds; what is faster than a microsecond is not measured."""
    return number(value, 2) if value >= 1e-3 else "<0.001"


def seconds(value: float) -> str:
    """Seconds, or milliseconds below one."""
    return f"{number(value)}\u00a0s" if value >= 1 else f"{milliseconds(1e3 * value)}\u00a0ms"


def duration(seconds: float) -> str:
    """Seconds as `45 s`, `12 min` or `3.2 h`."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def short(value: float | None, width: int = 6) -> str:
    """Up to three significant digits in so many characters, `1.2e-5` for the very small; `-` for None."""
    if not value:
        return "-" if value is None else "0"
    whole = [f"{value:.0f}"] if abs(value) >= 999.5 or float(value).is_integer() else []
    plain = [text for text in (f"{value:#.3g}".rstrip("."), f"{value:.2g}", f"{value:.1g}") if "e" not in text]
    powers = [f"{value:.{digits}e}".replace("e-0", "e-").replace("e+0", "e").replace("e+", "e") for digits in (2, 1, 0)]
    fitting = [text for text in (*whole, *plain, *powers) if len(text) <= width]
    return min(fitting, key=lambda text: round(abs(float(text) / value - 1), 2), default=powers[-1])


def short_duration(seconds: float) -> str:
    """Seconds as `45s`, `12m`, `3.2h` or `31h`."""
    if seconds < 119.5:
        return f"{seconds:.0f}s"
    if seconds < 5970:
        return f"{seconds / 60:.0f}m"
    return f"{seconds / 3600:.1f}h" if seconds < 35820 else f"{seconds / 3600:.0f}h"
