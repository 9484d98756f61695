"""A small run with a report, whose strings hold markup that must not work."""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from tests.toy_process import Process, ToySplit
from ups.core.system import System
from ups.evaluation.baselines import FLOOR, AutoencoderFloor
from ups.evaluation.evaluate import evaluate
from ups.evaluation.physics import TRUTH
from ups.evaluation.settings import EvaluationSettings
from ups.report.html.report import write_report
from ups.report.scores import RunScores
from ups.ttc.settings import TTCSettings

EVIL = "</script><script>alert(1)</script>"
SETTINGS = EvaluationSettings(lead_times=(1, 5), batch=30, store=6, members=8, pictures=False)
CONFIG = f"training:\n  grad_clip: 1.0\n# {EVIL} <b>& 'quoted'</b>\n"
COMMAND = f'ups run "{EVIL}.yaml"'


@dataclass(frozen=True)
class ReportRun:
    """A run folder with its report."""

    folder: Path
    metrics: dict[str, Any] = field(repr=False)

    @property
    def page(self) -> Path:
        return self.folder / "report.html"

    def write(self, **changes: Any) -> str:
        """Write the report of the metrics with some of them changed, and return it."""
        log = self.folder / "training_log.jsonl"
        scores = RunScores.model_validate({**self.metrics, **changes})
        return write_report(self.folder, scores, CONFIG, log, COMMAND).read_text()


TTC: dict[str, Any] = {
    "rows": [
        {"strategy": name, "evaluations": calls, "ms_per_step": 0.4, "nrmse": 0.2, "low": 0.1, "high": 0.3}
        | {"gain": gain, "gain_low": gain - 0.1, "gain_high": gain + 0.1}
        | {"own_gain": 0.0, "own_gain_low": 0.0, "own_gain_high": 0.0}
        for name, calls, gain in (("best-of-n", 9.0, 0.25), ("random pick", 9.0, -0.3), ("oracle-best", 9.0, 0.5))
    ],
    "settings": TTCSettings(candidates=7).model_dump(mode="json"),
    "strategy": "best-of-n",
    "verdict": "pays",
    "sentence": "Test-time conditioning pays & more.",
    "correlation": 0.5,
    "device": "cpu",
    "threads": 2,
}
"""Test-time conditioning as in `metrics.json`."""


class Lifted:
    """Fields of the toy process times a fixed profile along a second axis: `(..., X)` as `(..., X, 5)`."""

    profile = torch.tensor([1.0, 0.5, -0.5, -1.0, 0.25])

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def trajectories(self, start: int, stop: int) -> torch.Tensor:
        return self.inner.trajectories(start, stop)[..., None] * self.profile

    def rollout(self, truth: torch.Tensor, *rest: Any) -> torch.Tensor:
        return self.inner.rollout(truth[..., 0], *rest)[..., None] * self.profile


def flat_run(folder: Path, split: ToySplit, system: System) -> ReportRun:
    """A run in two space dimensions, with test-time conditioning and without a training log."""
    axis = tuple(0.1 * i for i in range(len(Lifted.profile)))
    shape = (*system.shape, len(axis))
    plane = replace(system, shape=shape, coords=(*system.coords, axis), boundary=("periodic", "neumann"))
    forecasters: Any = {"operator": Lifted(Process(False)), "crps": Lifted(Process(True))}
    scored: Any = Lifted(split)
    run = ReportRun(
        folder, evaluate(forecasters, scored, plane, SETTINGS, folder, {"split": "test"}, std=[1.0]).model_dump()
    )
    run.write(ttc=TTC)
    return run


def report_run(folder: Path, split: ToySplit, system: System) -> ReportRun:
    """Evaluate the toy process into `folder`, log four epochs, and write the report."""
    forecasters = {FLOOR: AutoencoderFloor(lambda u: 1.01 * u), "operator": Process(False)}
    forecasters |= {TRUTH: Process(True, stream=1, role="truth"), "crps": Process(True)}
    forecasters[f"mean {EVIL}"] = Process(False)
    protocol = {"data_hash": "ab" * 32, "task": "toy", "split": "test", "config_hash": "cd" * 8}
    run = ReportRun(folder, evaluate(forecasters, split, system, SETTINGS, folder, protocol, std=[1.0]).model_dump())
    epochs = [
        {
            "stage": "operator",
            "epoch": i,
            "global_step": i,
            "loss": 1 / i,
            "L_a": 0.5 / i,
            "L_b": 0.4,
            "score": 2 / i,
            "grad_norm": 0.5,
        }
        for i in range(1, 5)
    ]
    (folder / "training_log.jsonl").write_text("".join(json.dumps(epoch) + "\n" for epoch in epochs))
    run.write()
    return run
