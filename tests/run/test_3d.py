"""All stages on a system of three axes, with the settings that are shipped: as the guides describe it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from ups.config import load_config
from ups.evaluation.predictions import read_predictions
from ups.run.train import run


@pytest.mark.slow
def test_all_stages_learn_patterns_in_3d_and_the_report_shows_slices_of_them(tmp_path: Path) -> None:
    generate = {"pde": "swift_hohenberg3d", "trajectories": 40, "frames": 16}
    few = {"epochs": 1, "steps_per_epoch": 8}
    settings: dict[str, Any] = {
        "data": {"task": "swift_hohenberg3d", "root": str(tmp_path), "generate": generate, "validation": 0.1},
        "diffusion": {"reserve": 0.2, "steps": 2},
        "training": {"batch_size": 8, "ema_decay": 0.9},
        "stages": {
            "operator": {"epochs": 3, "steps_per_epoch": 30},
            "diff_residual": few,
            "consistency_distill": few,
            "steady_prior": {**few, "tolerance": 1.0},
        },
        "ttc": {"enabled": True, "candidates": 2},
        "evaluation": {"trajectories": 2, "members": 2, "one_step_members": 1, "validation_trajectories": 4},
        "run": {"dir": str(tmp_path / "run"), "threads": 1, "device": "cpu"},
    }
    path = tmp_path / "patterns.yaml"
    path.write_text(yaml.safe_dump(settings))
    result = run(load_config(path))
    assert result.metrics is not None
    rows = {row.model: row for row in result.metrics.rows}
    assert {"solver@16", "diffusion@2", "consistency@1", "steady_prior", "ttc"} <= rows.keys()
    error = {name: row.rollout.nrmse or 1e9 for name, row in rows.items()}
    assert error["operator"] < 0.97 * error["persistence"] and (rows["solver@16"].one_step.nrmse or 1e9) < 0.05
    assert result.metrics.ttc is not None and result.metrics.spectra is not None
    page = (tmp_path / "run" / "report.html").read_text()
    payload = re.search(r'id="payload">(.*?)</script>', page, re.DOTALL)
    assert payload is not None
    fields = json.loads(payload[1])["fields"]
    assert fields["sliced"] and fields["axes"] == ["x", "y"] and len(fields["coords"]) == 2
    assert {path.name for path in (tmp_path / "run" / "report").glob("*.png")} >= {"fields_operator.png"}
    stored = read_predictions(tmp_path / "run" / "predictions.h5")
    assert stored.truth.shape == (2, 16, 1, 16, 16, 16)
    ahead = result.model.rollout(stored.truth[:1, 0], 3, members=2)
    assert ahead.values.shape == (1, 2, 3, 1, 16, 16, 16) and ahead.values.isfinite().all()
