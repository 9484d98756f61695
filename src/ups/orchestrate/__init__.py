"""From a config to a judged run: validate, estimate, train, evaluate, compare with the champion, keep a leaderboard."""

from ups.orchestrate.gates import GateSettings
from ups.orchestrate.plan import Options
from ups.orchestrate.steps import Result, orchestrate

__all__ = ["GateSettings", "Options", "Result", "orchestrate"]
