"""What a look at config and data says."""

from pathlib import Path

import h5py
import pytest

from tests.orchestrate.waves import waves
from ups.data.dataset import open_dataset
from ups.orchestrate.checks import check_data
from ups.orchestrate.plan import Options, resolve


@pytest.mark.parametrize(
    ("still", "told"),
    [
        (0, "frames"),
        (1, "; 1 warning: {}: trajectory 0 never changes"),
        (2, "; 2 warnings: {}: trajectory 0 never changes; {}: trajectory 1 never changes"),
        (5, "trajectory 2 never changes; and 2 more, all in summary.json"),
    ],
)
def test_the_first_warnings_are_told_and_all_are_kept(tmp_path: Path, still: int, told: str) -> None:
    path = waves(tmp_path)
    file = tmp_path / "data/waves.hdf5"
    with h5py.File(file, "r+") as stored:
        tensor = stored["tensor"]
        assert isinstance(tensor, h5py.Dataset)
        for row in range(still):
            tensor[row] = row + 1.0
    plan = resolve(Options(path))
    outcome = check_data(plan, open_dataset(plan.config.data))
    assert outcome.sentence.endswith(told.replace("{}", str(file)))
    assert outcome.data["warnings"] == [f"{file}: trajectory {row} never changes" for row in range(still)]
