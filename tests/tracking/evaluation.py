"""A process that evaluates and tracks: `python -m tests.tracking.evaluation FOLDER MODE`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.tracking.settings import METRICS, Tracking, Wandb
from ups.tracking.sinks import Tracker, open_sinks

if __name__ == "__main__":
    folder, mode = Path(sys.argv[1]), sys.argv[2]
    (folder / "metrics.json").write_text(json.dumps(METRICS))
    with Tracker(open_sinks(Tracking(Wandb(mode)), folder, {"seed": 0})) as tracker:  # type: ignore[arg-type]
        tracker.evaluation(METRICS, folder)
