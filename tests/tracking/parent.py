"""A process that logs epochs and has a child evaluate in between: `python -m tests.tracking.parent FOLDER MODE`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from tests.tracking.settings import Tracking, Wandb
from ups.tracking.sinks import Tracker, open_sinks

if __name__ == "__main__":
    folder, mode = Path(sys.argv[1]), sys.argv[2]
    checkpoint, handed = folder / "checkpoints" / "operator.pt", Path(os.environ["WANDB_CONTEXT_FILE"])
    checkpoint.parent.mkdir()
    checkpoint.write_bytes(b"weights")
    with Tracker(open_sinks(Tracking(Wandb(mode)), folder, {"seed": 0})) as tracker:  # type: ignore[arg-type]
        for step in (1, 2, 3):
            tracker.epoch({"global_step": step, "stage": "operator", "epoch": step, "loss": 1 / step, "score": None})
        tracker.file(checkpoint)
        while json.loads(handed.read_text())["service"] is None:
            time.sleep(0.02)
        subprocess.run([sys.executable, "-m", "tests.tracking.evaluation", str(folder), "disabled"], check=True)
        tracker.epoch({"global_step": 4, "stage": "diffusion", "epoch": 1, "loss": 0.5})
