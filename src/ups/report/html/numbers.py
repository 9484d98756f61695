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
