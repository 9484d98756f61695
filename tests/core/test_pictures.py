"""Colours tell one-sided fields from those that cross 0; a figure is whole or not there."""

from pathlib import Path

import numpy as np
import pytest

from ups.core.errors import UserError
from ups.core.pictures import Scale, field_scale, figure, legible, signed_scale, spread_scale


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        ([2.0, 3.0], Scale("cividis", 2.0, 3.0)),
        ([-3.0, -2.0], Scale("cividis", -3.0, -2.0)),
        ([0.0, 3.0], Scale("cividis", 0.0, 3.0)),
        ([-0.01, 3.0], Scale("cividis", -0.01, 3.0)),
        ([-1.0, 3.0], Scale("RdBu_r", -3.0, 3.0)),
        ([-3.0, 1.0, np.nan], Scale("RdBu_r", -3.0, 3.0)),
        ([300.0, 300.0], Scale("cividis", 299.5, 300.5)),
        ([0.0, 0.0], Scale("cividis", -0.5, 0.5)),
        ([np.nan, np.inf], Scale("cividis", 0.0, 1.0)),
    ],
)
def test_a_field_that_crosses_0_is_centred_on_it_and_a_one_sided_one_is_not(values, scale):
    assert field_scale(np.array(values)) == scale


def test_errors_are_centred_and_spreads_start_at_0():
    assert signed_scale(np.array([0.5, 2.0])) == Scale("RdBu_r", -2.0, 2.0)
    assert spread_scale(np.array([0.5, 2.0])) == Scale("Purples", 0.0, 2.0)


def test_a_figure_that_is_not_finished_leaves_the_old_file(tmp_path: Path):
    path = tmp_path / "a.png"
    path.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), figure(path, 2, 2):
        _ = 1 / 0
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]
    with figure(path, 2, 2) as canvas:
        canvas.suptitle(legible("$u of a formula that does not end"))
    assert path.read_bytes().startswith(b"\x89PNG")


def test_a_name_of_no_picture_is_refused(tmp_path: Path):
    with (
        pytest.raises(UserError, match=r"expected the name of a picture, such as a.png or .pdf"),
        figure(tmp_path / "a.xyz", 2, 2),
    ):
        pass
