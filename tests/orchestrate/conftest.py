"""Orchestrations in this process draw no training curves, which take longer than the training."""

from collections.abc import Iterator

import pytest

from ups.run import score as scoring


@pytest.fixture(scope="module", autouse=True)
def undrawn() -> Iterator[None]:
    """Leaves the curves out."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scoring, "training_curves", lambda path, log: None)
        yield
