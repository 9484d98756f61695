"""No test hears of the tracker that is set in the shell it was started from."""

import os

for _name in ("WANDB_MODE", "WANDB_CONTEXT_FILE"):
    os.environ.pop(_name, None)
