"""Even spacing of times and coordinates, within what the type in which they are stored can tell.

A time t in a floating-point type of relative precision eps is known to eps |t|: hours that are stored as days in
float32, some 4,000 days after their origin, look uneven by 1 % and are not. An array here therefore keeps its stored
type, float16 or float32, wherever it is compared. Every comparison is relative: no unit makes a grid even or uneven.
"""

import numpy as np

UNEVEN = 1e-3
"""Share of a step by which steps, and positions in two files, may differ."""


def as_marks(values: np.ndarray) -> np.ndarray:
    """Times or coordinates `(n,)` as read, in float16 or float32 if they are stored so and else in float64."""
    kept = values.dtype.newbyteorder("=") in (np.float16, np.float32)
    return values.astype(values.dtype.newbyteorder("=") if kept else np.float64)


def resolution(values: np.ndarray) -> float:
    """What the type of `values` can tell at the largest of them: eps |t|."""
    return float(np.finfo(values.dtype).eps) * float(np.abs(values.astype(np.float64)).max())


def mean_step(values: np.ndarray) -> float:
    """The distance of neighbours in `values (n,)`, n > 1; where rounding hides it, that of the line closest to them."""
    return _line(values)[1]


def is_even(values: np.ndarray) -> bool:
    """Whether `values (n,)`, n > 1, have equal steps: each to 1e-3, or every value to what its type can tell."""
    wide, (first, step) = values.astype(np.float64), _line(values)
    apart = np.abs(wide - (first + step * np.arange(len(wide)))).max()
    return _equal_steps(wide) or bool(apart <= UNEVEN * abs(step) + resolution(values))


def are_alike(mine: np.ndarray, theirs: np.ndarray) -> bool:
    """Whether two arrays `(n,)`, n > 1, are the same marks: to 1e-3 of a step and what their types can tell."""
    if len(mine) != len(theirs):
        return False
    apart = np.abs(mine.astype(np.float64) - theirs.astype(np.float64)).max()
    return bool(apart <= UNEVEN * abs(mean_step(theirs)) + resolution(mine) + resolution(theirs))


def without_rounding(values: np.ndarray) -> np.ndarray:
    """Even `values (n,)` in float64: as they are, or at equal steps where their type has rounded them off these."""
    wide, (first, step) = values.astype(np.float64), _line(values)
    return wide if _equal_steps(wide) else first + step * np.arange(len(wide))


def _line(values: np.ndarray) -> tuple[float, float]:
    """First value and step of the even marks that `values (n,)` stand for: by their ends, else by least squares."""
    wide = values.astype(np.float64)
    if _equal_steps(wide):
        return float(wide[0]), float((wide[-1] - wide[0]) / (len(wide) - 1))
    place = np.arange(len(wide)) - (len(wide) - 1) / 2
    step = float(place @ (wide - wide.mean()) / (place @ place))
    return float(wide.mean()) + step * float(place[0]), step


def _equal_steps(wide: np.ndarray) -> bool:
    step = (wide[-1] - wide[0]) / (len(wide) - 1)
    return bool(np.abs(np.diff(wide) - step).max() <= UNEVEN * abs(step))
