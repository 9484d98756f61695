"""The parts of the page that are text and tables: summary, data, costs, how to reproduce."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib.metadata import version

import ups
from ups.evaluation.baselines import PERSISTENCE
from ups.evaluation.scores import Scores, ScoringProtocol
from ups.report.hardware import hardware
from ups.report.health import Finding
from ups.report.html.markup import Markup, facts, join, table, tag
from ups.report.numbers import duration, milliseconds, number, percent, score, seconds


def subtitle(protocol: ScoringProtocol) -> str:
    """What was trained on what, and scored how, in two sentences."""
    grid = " × ".join(str(n) for n in protocol.shape)
    task = protocol.task or "Own data"
    train = protocol.splits.get("train")
    trained = f", trained on {train.trajectories:,} trajectories" if train else ""
    return (
        f"{task}: {', '.join(protocol.channels)} on {grid} points, {protocol.frames} frames of "
        f"{number(protocol.dt)} time units{trained}. "
        "Scores over all channels are of decoded fields, each over its deviation in the training split, on "
        f"{protocol.trajectories} trajectories of the {protocol.split} split."
    )


def tiles(scores: Scores) -> Markup:
    """The four numbers to look at first; nothing where no trained row has a score."""
    held = scores.row(PERSISTENCE)
    if not scores.models or held is None:
        return Markup("")
    sharp = min(scores.models, key=lambda row: row.rollout.nrmse or 0.0)
    fair = min(scores.models, key=lambda row: row.crps or 0.0)
    found = [
        ("lowest nRMSE", score(sharp.rollout.nrmse), f"{sharp.model}; {PERSISTENCE} {score(held.rollout.nrmse)}"),
        ("lowest CRPS", score(fair.crps), f"{fair.model}; {_below(fair.crps, held.crps)} {PERSISTENCE}"),
    ]
    overall, nominal = fair.probabilistic.overall, fair.probabilistic.nominal.coverage_90
    if overall.coverage_90 is not None and overall.spread_skill is not None and nominal is not None:
        cover = f"{percent(overall.coverage_90, False)} covered of {percent(nominal, False)}"
        found.append(("spread / skill", f"{overall.spread_skill:.2f}", f"{fair.model}; 1 is calibrated, {cover}"))
    trained = max(row.train_seconds for row in scores.models)
    step = f"{fair.model}, one member, on {hardware(scores.protocol)}"
    found.append(("one step", f"{milliseconds(fair.ms_per_step)} ms", step))
    found.append(("training", duration(trained), "all stages that the costliest row needs"))
    return tag("div", *(_tile(*tile) for tile in found), class_="tiles")


def notices(scores: Scores, log: str) -> Markup:
    """Rows without a score, when training has paid, and what is wrong with the training log."""
    errors = [_notice("No score.", error, "notice bad") for error in scores.errors]
    even = [_notice("Break-even.", scores.break_even, "notice")] if scores.break_even else []
    return join(*errors, *even, *([_notice("Training log.", log, "notice")] if log else []))


def data_section(protocol: ScoringProtocol) -> Markup:
    """Where the data come from, how they were split, and their hashes."""
    boundary = ", ".join(map(str, protocol.boundary)) or "–"
    stride = protocol.stride
    pairs = [
        ("task", protocol.task or "–"),
        ("channels", ", ".join(protocol.channels)),
        ("grid", f"{' × '.join(map(str, protocol.shape))} points, boundaries {boundary}"),
        ("time", f"{protocol.frames} frames, {number(protocol.dt)} apart; {protocol.context} given"),
        ("parameters", ", ".join(protocol.params) or "none"),
        ("stride", f"every {_nth(stride.get('space', 1))}point, every {_nth(stride.get('time', 1))}frame"),
        ("data hash", _hash(protocol.data_hash)),
    ]
    splits = [[name, f"{part.trajectories:,}", _hash(part.hash)] for name, part in protocol.splits.items()]
    files = [[file.name, _hash(file.hash)] for file in protocol.files]
    return join(
        facts(pairs),
        tag("div", table(["split", "trajectories", "hash"], splits, {1}), class_="narrow") if splits else "",
        tag("div", table(["file", "hash"], files, set()), class_="narrow") if files else "",
    )


def cost_table(scores: Scores) -> Markup:
    """What every row costs to train and to run."""
    steps = scores.protocol.frames - scores.protocol.context
    heads = ["row", "weights", "calls / step", "ms / step", f"{steps} steps", "training", "nRMSE"]
    rows = [
        [
            row.model,
            f"{row.parameters:,}" if row.parameters else "–",
            f"{row.nfe_per_step:g}",
            milliseconds(row.ms_per_step),
            seconds(row.ms_per_step * (steps if row.marching else 1) / 1e3),
            duration(row.train_seconds) if row.train_seconds else "–",
            score(row.rollout.nrmse),
        ]
        for row in scores.rows
    ]
    protocol = scores.protocol
    note = (
        f"One member of one trajectory, in batches of {protocol.batch}, on {hardware(protocol)}. Training holds all "
        "stages that the row needs."
    )
    return join(tag("div", table(heads, rows, set(range(1, 7))), class_="wide"), tag("p", note, class_="note"))


def health_list(found: Sequence[Finding]) -> Markup:
    """The health check, a line a finding."""
    marks = {"good": "fine", "look": "look", "bad": "problem"}
    items = [tag("li", _mark(marks[f.level], f.level), tag("span", tag("b", f.stage), f": {f.remark}.")) for f in found]
    return tag("ul", *items, class_="health") if items else tag("p", "The training log is empty.", class_="note")


def reproduce(protocol: ScoringProtocol, config_text: str, command: str) -> Markup:
    """Command, hashes, versions and the whole config."""
    pairs = [
        ("command", tag("code", command)),
        ("config hash", _hash(protocol.config_hash)),
        ("split hash", _hash(protocol.split_hash)),
        ("seed", str(protocol.seed)),
        ("times measured on", hardware(protocol)),
        ("members, bootstrap", f"{protocol.members}, {protocol.bootstrap:,} samples"),
        ("versions", f"ups {ups.__version__}, torch {protocol.torch}, numpy {version('numpy')}, Python {_python()}"),
    ]
    config = tag("details", tag("summary", "The whole config"), tag("pre", config_text, tabindex="0"))
    return join(facts(pairs), config)


def _mark(text: str, level: str) -> Markup:
    return tag("span", text, class_=f"mark {level}")


def _notice(name: str, sentence: str, class_: str) -> Markup:
    return tag("p", tag("strong", name), f" {_upper(sentence)}.", class_=class_)


def _tile(name: str, value: str, note: str) -> Markup:
    return tag("div", tag("span", name), tag("b", value), tag("small", note), class_="tile")


def _below(new: float | None, old: float | None) -> str:
    if not old or new is None:
        return "beside"
    return f"{percent(1 - new / old, False)} below" if new <= old else f"{percent(new / old - 1, False)} above"


def _hash(text: str | None) -> Markup | str:
    return tag("code", text[:16], title=text, class_="hash") if text else "–"


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _nth(n: int) -> str:
    return "" if n == 1 else f"{n}{({2: 'nd', 3: 'rd'}).get(n, 'th')} "


def _python() -> str:
    return platform.python_version()
