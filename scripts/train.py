"""Train all stages and evaluate: `python scripts/train.py --config FILE --stage all [--set key=value]`.

The same as `ups train --evaluate`: with `--stage all` the run is then scored as `evaluation` and `ttc` say, unless
`evaluation.enabled` is false; with the name of one stage that stage is trained and nothing is scored.
"""

import sys

from ups.cli import app

if __name__ == "__main__":
    app(["train", "--evaluate", *sys.argv[1:]], prog_name="ups")
