import json

import numpy as np
import pytest

from ups.core.errors import UserError
from ups.data.inspect import check_files, describe_file
from ups.data.settings import MappingSettings

MAPPING = MappingSettings(values=("u",), axes="n t x", length=(1.0,), dt=0.1)


def messages(findings) -> list[str]:
    return [str(finding) for finding in findings]


def test_a_description_gives_sizes_axes_parameters_and_ranges(write_pdebench, contents):
    path = write_pdebench()
    record = json.loads(json.dumps(describe_file(path)))
    values = contents(path).astype(np.float64)
    assert (record["task"], record["trajectories"], record["frames"], record["shape"]) == ("burgers1d", 10, 11, [16])
    assert record["params"] == {"Nu": [0.01, 0.01]}
    assert record["values"]["u"]["max"] == values.max() and record["values"]["u"]["nan"] == 0
    assert record["values"]["u"]["std"] == pytest.approx(values.std())


def test_values_that_are_not_finite_are_counted_and_left_out_of_the_ranges(tmp_path):
    values = np.random.default_rng(0).random((3, 4, 8))
    values[0, 0, :3] = [np.nan, np.inf, -np.inf]
    np.savez(tmp_path / "a.npz", u=values)
    found = describe_file(tmp_path / "a.npz", MAPPING)["values"]["u"]
    finite = values[np.isfinite(values)].astype(np.float32)
    assert found["nan"] == 3 and found["max"] == finite.max()
    assert found["mean"] == pytest.approx(finite.mean())


def test_a_file_without_a_mapping_is_described_by_its_arrays(tmp_path):
    np.savez(tmp_path / "a.npz", u=np.zeros((3, 4)), t=np.zeros(4, np.float32))
    record = describe_file(tmp_path / "a.npz")
    assert record["arrays"] == {"u": {"shape": [3, 4], "dtype": "float64"}, "t": {"shape": [4], "dtype": "float32"}}
    assert "values" not in record


def test_sound_files_have_no_findings(write_pdebench):
    assert check_files([write_pdebench()]) == []


def test_nan_constant_and_equal_trajectories_are_found_at_their_place(tmp_path):
    values = np.random.default_rng(0).random((6, 4, 8))
    values[1, 2, 3], values[2], values[4] = np.nan, 0.5, values[0]
    np.savez(tmp_path / "a.npz", u=values)
    np.savez(tmp_path / "b.npz", u=values[5:])
    assert messages(check_files([tmp_path / "a.npz", tmp_path / "b.npz"], MAPPING, ("periodic",))) == [
        f"error: {tmp_path}/a.npz: trajectory 1 frame 2 holds NaN or Inf",
        f"warning: {tmp_path}/a.npz: trajectory 2 never changes",
        f"error: {tmp_path}/a.npz: trajectory 4 equals trajectory 0 of {tmp_path}/a.npz",
        f"error: {tmp_path}/b.npz: trajectory 0 equals trajectory 5 of {tmp_path}/a.npz",
    ]


def test_uneven_times_and_points_are_errors(tmp_path):
    np.savez(tmp_path / "a.npz", u=np.random.default_rng(0).random((3, 4, 8)), x=np.arange(8.0) ** 2)
    mapping = MappingSettings(values=("u",), axes="n t x", coords=("x",), times=(0.0, 1.0, 2.0, 4.0))
    findings = check_files([tmp_path / "a.npz"], mapping, ("neumann",))
    assert [(finding.level, finding.message.split(":")[0]) for finding in findings] == [
        ("error", "times"),
        ("error", "spatial axis 0"),
    ]


def test_a_periodic_axis_that_repeats_its_first_point_is_found(tmp_path):
    values = np.random.default_rng(0).random((1, 4, 8))
    values[..., -1] = values[..., 0]
    np.savez(tmp_path / "a.npz", u=values)
    (finding,) = check_files([tmp_path / "a.npz"], MAPPING, ("periodic",))
    assert "repeats the first" in finding.message
    assert check_files([tmp_path / "a.npz"], MAPPING, ("dirichlet",)) == []


def test_a_damaged_file_is_one_sentence(tmp_path):
    (tmp_path / "a.h5").write_text("text")
    for call in (describe_file, lambda path: check_files([path])):
        with pytest.raises(UserError, match="not an HDF5 file"):
            call(tmp_path / "a.h5")
