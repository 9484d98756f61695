"""The toy process and its system, shared by the tests of an evaluation."""

import pytest
from toy_process import POINTS, ToySplit

from ups.data.fields import System


@pytest.fixture(scope="session")
def split() -> ToySplit:
    return ToySplit(60)


@pytest.fixture(scope="session")
def system() -> System:
    return System(("u",), (POINTS,), (tuple(i / POINTS for i in range(POINTS)),), ("periodic",), (), 0.5, "toy")
