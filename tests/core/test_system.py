import json

import pytest

from ups.core.errors import UserError
from ups.core.system import Statistics, System


def system(**changes) -> System:
    given = {
        "channels": ("u",),
        "shape": (4, 5),
        "coords": ((0.0, 0.25, 0.5, 0.75), (0.0, 0.5, 1.0, 1.5, 2.0)),
        "boundary": ("periodic", "dirichlet"),
        "param_names": ("Nu",),
        "dt": 0.05,
        "task": "burgers1d",
    }
    return System(**(given | changes))


def test_a_system_survives_json():
    assert System.from_dict(json.loads(json.dumps(system().to_dict()))) == system()


def test_statistics_survive_json():
    statistics = Statistics((0.5,), (2.0,), (0.01,), (1.0,))
    assert Statistics.from_dict(json.loads(json.dumps(statistics.to_dict()))) == statistics


def test_extent_is_the_period_of_a_periodic_axis_and_the_distance_of_the_ends_of_another():
    assert system().extent == (1.0, 2.0)


def test_axes_are_x_y_z_unless_named_also_in_records_that_do_not_name_them():
    record = system(axes=("y", "x")).to_dict()
    assert System.from_dict(record).axes == ("y", "x")
    del record["axes"]
    assert System.from_dict(record).axes == ("x", "y")


def test_a_step_that_was_trained_is_found_to_a_thousandth_and_any_other_refused():
    several = system(dt=1 / 24, steps=(1 / 24, 1 / 12))
    assert several.time_step(None) == several.time_step(0.04167) == 1 / 24
    assert several.time_step(0.0833) == 1 / 12
    for dt in (0.05, 0.0, -1 / 24, float("nan"), "0.0833"):
        with pytest.raises(UserError, match=rf"dt = {dt} was not trained, trained are steps of 0.0416667, 0.0833333"):
            several.time_step(dt)


def test_a_record_that_names_no_steps_knows_its_own():
    record = system().to_dict()
    del record["steps"]
    assert System.from_dict(record).steps == (0.05,)


def test_a_record_with_a_missing_entry_is_refused():
    record = system().to_dict()
    del record["dt"]
    with pytest.raises(UserError, match="dt"):
        System.from_dict(record)
