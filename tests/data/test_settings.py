import pytest
from pydantic import ValidationError

from ups.data.settings import DataSettings, MappingSettings


def test_a_list_of_files_means_files_to_train_on():
    short = DataSettings.model_validate({"files": ["a.npz", "b.npz"]})
    assert short == DataSettings.model_validate({"files": {"train": ["a.npz", "b.npz"]}})
    assert DataSettings.model_validate({"files": "a.npz"}) == DataSettings.model_validate({"files": ["a.npz"]})


def test_settings_survive_a_round_trip_through_plain_data():
    settings = DataSettings.model_validate(
        {
            "files": ["a.npz"],
            "mapping": {"values": ["u", "v"], "axes": "n t x y", "coords": ["x", [0.0, 1.0]], "dt": 0.1},
            "boundary": ["periodic", "neumann"],
            "params": {"Nu": 0.1},
        }
    )
    assert DataSettings.model_validate(settings.model_dump(mode="json")) == settings


def test_a_number_that_yaml_takes_for_a_word_is_a_value_not_a_key():
    mapping = MappingSettings.model_validate({"length": 1.0, "dt": 0.1, "params": {"nu": "1e-3", "k": "wave_number"}})
    assert mapping.params == {"nu": 1e-3, "k": "wave_number"}


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({}, "give task"),
        ({"task": "burgers1d", "validation": 0.6, "test": 0.5}, "leave nothing to train on"),
        ({"task": "burgers1d", "test": 0.0}, "greater than 0"),
        ({"task": "burgers1d", "split": "valid"}, "train"),
        ({"task": "burgers1d", "subsample": {"space": 0}}, "greater than 0"),
        ({"task": "burgers1d", "strides": [2, 4]}, r"strides start with 1 and grow, found \[2, 4\]; .*subsample.time"),
        ({"task": "burgers1d", "strides": [1, 4, 2]}, "strides start with 1 and grow"),
        ({"task": "burgers1d", "strides": []}, "at least 1"),
        ({"task": "burgers1d", "mapping": {"length": 1.0, "dt": 0.1}}, "give files too"),
        ({"files": [], "boundary": "periodic"}, "at least 1"),
        ({"files": ["a"], "boundary": ["free"]}, "periodic"),
        ({"files": ["a"], "generate": {"pde": "burgers1d"}}, "not both"),
        ({"files": ["a"], "mapping": {"dt": 0.1}}, "coords or length"),
        ({"files": ["a"], "mapping": {"length": 1.0}}, "times or dt"),
        ({"files": ["a"], "mapping": {"length": 1.0, "dt": 0.1, "axes": "n t q"}}, "axes are letters"),
        ({"files": ["a"], "mapping": {"length": 1.0, "dt": 0.1, "axes": "n t x x"}}, "axes are letters"),
        ({"files": ["a"], "mapping": {"length": 1.0, "dt": 0.1, "axes": "ntx"}}, "axes are letters"),
        ({"files": ["a"], "mapping": {"length": 1.0, "dt": 0.1, "axes": "n x"}}, "need t"),
        ({"files": ["a"], "mapping": {"length": [1.0, 2.0, 3.0], "dt": 0.1, "axes": "n t x y"}}, "length has 3"),
        ({"files": ["a"], "mapping": {"coords": ["x"], "dt": 0.1, "axes": "n t x y"}}, "coords has 1"),
    ],
)
def test_settings_that_contradict_themselves_are_refused_with_the_reason(given, sentence):
    with pytest.raises(ValidationError, match=sentence):
        DataSettings.model_validate(given)
