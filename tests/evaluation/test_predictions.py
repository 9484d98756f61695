"""The store gives back what was written, in batches, capped, or leaves nothing behind."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.conftest import dataset
from tests.records import protocol
from ups.core.errors import UserError
from ups.evaluation.predictions import PredictionWriter, read_predictions

PROTOCOL = protocol(frames=4, shape=[8], seed=7)


def fill(path: Path, trajectories: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(5, 4, 1, 8)).astype(np.float32)
    rollout = rng.normal(size=(5, 3, 3, 1, 8)).astype(np.float32)
    with PredictionWriter(path, trajectories, PROTOCOL.model_dump()) as store:
        store.axes([[float(i) for i in range(8)]], np.arange(4) * 0.1)
        for first, stop in ((0, 2), (2, 4), (4, 5)):
            store.truth(first, truth[first:stop], np.ones((stop - first, 2), dtype=np.float32))
            for model in ("b, 8 steps", "a/b"):
                store.forecast(model, "rollout", first, rollout[first:stop])
                store.forecast(model, "one_step", first, rollout[first:stop] * 2)
    return {"truth": truth, "rollout": rollout}


@pytest.mark.parametrize("trajectories", [0, 1, 3, 5])
def test_batches_are_joined_and_capped(tmp_path, trajectories):
    written = fill(tmp_path / "predictions.h5", trajectories)
    stored = read_predictions(tmp_path / "predictions.h5")
    np.testing.assert_array_equal(stored.truth, written["truth"][:trajectories])
    assert list(stored.rows) == ["b, 8 steps", "a/b"]
    np.testing.assert_array_equal(stored.rows["a/b"].rollout, written["rollout"][:trajectories])
    np.testing.assert_array_equal(stored.rows["a/b"].one_step, 2 * written["rollout"][:trajectories])
    assert stored.protocol == PROTOCOL and stored.params.shape == (trajectories, 2)


def test_an_interrupted_evaluation_keeps_the_old_file_and_leaves_no_partial_one(tmp_path):
    path = tmp_path / "predictions.h5"
    fill(path, 5)
    before = path.read_bytes()
    with pytest.raises(RuntimeError), PredictionWriter(path, 5, {}) as store:
        store.axes([[0.0]], np.zeros(1))
        raise RuntimeError
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_a_missing_file_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match="run the evaluation first"):
        read_predictions(tmp_path / "predictions.h5")


def test_the_file_says_what_it_holds(tmp_path):
    path, record = tmp_path / "predictions.h5", PROTOCOL.model_dump()
    record |= {"axes": ["z"], "params": ["k"], "data_hash": "0123", "channels": ["rho"], "dt": 0.5}
    with PredictionWriter(path, 2, record) as store:
        store.axes([np.arange(8.0).tolist()], np.arange(4.0))
        store.truth(0, np.zeros((2, 4, 1, 8)), np.zeros((2, 1)))
        store.forecast("crps", "rollout", 0, np.zeros((2, 3, 3, 1, 8)))
    with h5py.File(path) as file:
        lists = {name: np.asarray(file.attrs[name]).tolist() for name in ("channels", "axes", "param_names")}
        assert lists == {"channels": ["rho"], "axes": ["z"], "param_names": ["k"]}
        assert [file.attrs[name] for name in ("data_hash", "seed", "dt", "run")] == ["0123", 7, 0.5, str(tmp_path)]
        labels = {name: [dim.label for dim in dataset(file, name).dims] for name in ("truth", "rows/00/rollout")}
        assert labels["truth"] == ["trajectory", "time", "channel", "z"]
        assert labels["rows/00/rollout"] == ["trajectory", "member", "time", "channel", "z"]
        assert dataset(file, "coords/z").shape == (8,)
