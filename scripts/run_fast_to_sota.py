"""Train, judge and rank a run: `python scripts/run_fast_to_sota.py --train-config FILE --train-stage all`.

The same as `ups orchestrate`.
"""

import sys

from ups.cli import app

if __name__ == "__main__":
    app(["orchestrate", *sys.argv[1:]], prog_name="ups")
