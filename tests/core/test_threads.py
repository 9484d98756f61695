"""Idle threads spin briefly from the start of the command line on, unless the user's environment says otherwise."""

import os
import subprocess
import sys

import pytest

STARTED = """
import os, sys
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            print("torch", os.environ.get("GOMP_SPINCOUNT"), os.environ.get("KMP_BLOCKTIME"))
            raise SystemExit
sys.meta_path.insert(0, Watch())
from ups.cli import app
app(["steady", "nowhere", "nothing.npy"])
"""


@pytest.mark.parametrize(
    ("given", "seen"),
    [
        ({}, "torch 3000 1"),
        ({"GOMP_SPINCOUNT": "7", "KMP_BLOCKTIME": "9"}, "torch 7 9"),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, "torch None None"),
    ],
)
def test_the_environment_is_set_before_torch_is_loaded(given: dict[str, str], seen: str) -> None:
    bare = {k: v for k, v in os.environ.items() if k not in ("GOMP_SPINCOUNT", "KMP_BLOCKTIME", "OMP_WAIT_POLICY")}
    out = subprocess.run([sys.executable, "-c", STARTED], env=bare | given, capture_output=True, text=True)
    assert out.stdout.strip() == seen, out.stderr
