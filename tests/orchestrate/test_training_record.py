"""Which weights in a run folder are those of its stages."""

from pathlib import Path

from tests.stages.test_set_aside import STEMS, filled
from ups.orchestrate.training_record import weights


def test_weights_are_those_of_stages_alone(tmp_path: Path) -> None:
    assert set(weights(filled(tmp_path))) == {f"{stem}{kind}.pt" for stem in STEMS for kind in ("", "_ema")}
