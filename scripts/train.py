"""Train all stages and evaluate: `python scripts/train.py --config FILE --stage all [--set key=value]`.

The same as `ups train --evaluate`: with `--stage all` the run is then scored as `evaluation` and `ttc` say, unless
`evaluation.enabled` is false; with the name of one stage that stage is trained and nothing is scored. From Python it
gives out `train_all_stages`, `train_operator` and the other functions of `ups.run.from_dict`.
"""

import sys
from typing import Any

from ups.cli import app


def __getattr__(name: str) -> Any:
    """Functions are imported when they are asked for: torch takes a second."""
    from ups.run import from_dict

    if name.startswith("__") or not hasattr(from_dict, name):
        raise AttributeError(f"module 'train' has no attribute {name!r}")
    return getattr(from_dict, name)


if __name__ == "__main__":
    app(["train", "--evaluate", *sys.argv[1:]], prog_name="ups")
