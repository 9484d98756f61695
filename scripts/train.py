"""Train one stage or all of them: `python scripts/train.py --config FILE --stage operator [--set key=value]`.

The same as `ups train`.
"""

import sys

from ups.cli import app

if __name__ == "__main__":
    app(["train", *sys.argv[1:]], prog_name="ups")
