"""Pictures are written for every kind of data, show what was given, and survive forecasts that are not finite."""

import math

import numpy as np
import pytest
from matplotlib.image import imread

from ups.report.plots import line_style, snapshots, space_time


@pytest.mark.parametrize(("members", "channels"), [(1, ("u",)), (4, ("velocity", "density"))])
def test_space_time_panels_grow_with_members_and_channels(tmp_path, members, channels):
    truth = np.random.default_rng(0).normal(size=(6, len(channels), 16))
    path = tmp_path / "fields.png"
    forecast = np.repeat(truth[None], members, axis=0)
    space_time(path, truth, forecast, np.arange(16) / 16, np.arange(6) * 0.1, channels, "model")
    height, width = imread(path).shape[:2]
    assert width > 1400 and height > 400 * len(channels)


def test_a_forecast_that_is_not_finite_can_be_drawn(tmp_path):
    truth = np.random.default_rng(0).normal(size=(6, 1, 16))
    forecast = np.full((1, 6, 1, 16), math.nan)
    space_time(tmp_path / "fields.png", truth, forecast, np.arange(16.0), np.arange(6.0), ("u",), "model")
    assert np.ptp(imread(tmp_path / "fields.png")) > 0


@pytest.mark.parametrize("shape", [(8, 12), (8, 6, 4)])
def test_snapshots_show_2d_fields_and_the_middle_of_3d_fields(tmp_path, shape):
    truth = np.random.default_rng(0).normal(size=(3, *shape))
    path, coords = tmp_path / "fields.png", tuple(np.arange(float(n)) for n in shape)
    snapshots(path, truth, truth[None], coords, np.arange(3.0), "vorticity", "model")
    assert imread(path).shape[0] > 600


def test_28_curves_look_different():
    assert len({tuple(line_style(index).values()) for index in range(28)}) == 28
