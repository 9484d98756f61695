"""Idle threads of the numerical libraries, beside other work on the same cores."""

import os

SPINS = {"GOMP_SPINCOUNT": "3000", "KMP_BLOCKTIME": "1"}
"""How long an idle thread spins before it sleeps, in rounds (GNU's OpenMP) and in ms (Intel's and LLVM's)."""


def spin_briefly() -> None:
    """Lets idle OpenMP threads sleep after microseconds, in this process and its children.

    By default they spin for so long that one other busy process on two cores makes an epoch ten times as long. It
    must be called before torch is loaded; what the environment says already, `OMP_WAIT_POLICY` too, stays.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        for name, value in SPINS.items():
            os.environ.setdefault(name, value)
