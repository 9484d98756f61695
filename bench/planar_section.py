"""Section of the document on 2D."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

from bench.cells import records
from bench.cost_sections import hashes
from bench.peer_sections import NAMES
from bench.planar import COUNTS, FOLLOWED, LENGTHS, LONG, MINUTES, MODELS, SYSTEMS, TUNED_ON, TUNING_MINUTES, UPDATES
from bench.results import mean
from bench.scale import Place
from bench.tables import held_for, number, over_seeds, section, table

HEADS = (
    "model",
    "one step",
    "rollout",
    "correlation time",
    "largest value (σ)",
    "ms/step",
    "weights",
    "updates",
    "seconds",
    "configuration",
)
TRAININGS = {f"{MINUTES:g}min": f"{MINUTES:g} minutes", f"{UPDATES}upd": f"{UPDATES:,} updates"}
HELD = "_held"
"""Ending of the scores of a peer whose means are held."""
WORD = {"one_step": "in one step", "rollout": "in the rollout", "correlation_time": "in correlation time"}


TEXT = (
    f"64 × 64 points, 41 frames, {COUNTS['train']} training trajectories; `bench/ups.yaml`, the shipped "
    "defaults, against the Fourier neural operator and U-Nets of convolutions and of ConvNeXt blocks, one "
    f"thread each, timed by the processor. Every model was tried in as many configurations, {TUNING_MINUTES:g} "
    "minute each with the first seed, and the rollout on the validation split chose; Kolmogorov flow takes the "
    "choice made with frames 0.5 apart at both spacings. Errors are nRMSE on the test split, the mean over "
    'seeds and their range; "means held" gives a peer the conserved means that UPS holds by itself, and both '
    "of its rows stand here. UPS alone has noise on its inputs and, where a mean is conserved, a head in flux "
    f"form. The largest value is that of rollouts of {LONG} times the frames of the data from the first frame "
    f"of {FOLLOWED} test trajectories, in deviations of its channel, beside the largest in the data."
)


def planar(place: Place) -> str:
    """A table for each system and length of training, where UPS is behind, what was tried, and the data."""
    found = [record for record in records(place, "planar") if "rollout" in record]
    tried = [record for record in records(place, "planar") if "rate" in record["settings"]]
    if not found:
        return ""
    parts = [TEXT]
    for system in SYSTEMS:
        for length in LENGTHS:
            if own := _of(found, system=system, length=length):
                heads = [*HEADS]
                heads[4] += f", true {number(own[0]['largest_true'])}"
                parts += [f"### {system}, {TRAININGS[length]}", table(heads, _rows(own)), _behind(own)]
    return section("2D", *parts, *_tried(tried), *hashes([(r["settings"]["system"], r["data"]) for r in found]))


def _of(found: Sequence[dict[str, Any]], **wanted: Any) -> list[dict[str, Any]]:
    return [r for r in found if all(r["settings"][key] == value for key, value in wanted.items())]


def _variants(own: Sequence[dict[str, Any]]) -> list[tuple[str, str, list[dict[str, Any]]]]:
    """Rows of a table: label, ending of the scores, results over seeds."""
    found = []
    for name in MODELS:
        if seeds := _of(own, model=name):
            found.append((NAMES[name], "", seeds))
            if all(f"rollout{HELD}" in r for r in seeds):
                found.append((f"{NAMES[name]}, means held", HELD, seeds))
    return found


def _rows(own: Sequence[dict[str, Any]]) -> list[list[str]]:
    rows = []
    for label, ending, seeds in _variants(own):
        every = partial(_values, seeds)
        rows.append(
            [
                label,
                over_seeds(every(f"one_step{ending}")),
                over_seeds(every(f"rollout{ending}")),
                held_for(every(f"correlation_time{ending}"), sum(every(f"correlation_lost{ending}"))),
                over_seeds(every(f"bounded{ending}")),
                number(mean(every("ms_per_step"))),
                f"{seeds[0]['weights']:,}",
                number(mean(every("updates"))),
                number(mean([r["training"]["seconds"] for r in seeds])),
                ", ".join(dict.fromkeys(f"`{name}`" for name in every("candidate"))),
            ]
        )
    return rows


def _values(seeds: Sequence[dict[str, Any]], key: str) -> list[Any]:
    return [r[key] for r in seeds]


def _behind(own: Sequence[dict[str, Any]]) -> str:
    """Where another row is ahead of UPS, and whose long rollouts left the range of the data."""
    variants = _variants(own)
    sentences = []
    for part, word in WORD.items():
        sign = -1 if part == "correlation_time" else 1
        scores = {label: _score(mean([r[part + ending] for r in seeds]), sign) for label, ending, seeds in variants}
        ups = scores.get(NAMES["ups"])
        if ups is None:
            return ""
        ahead = [f"{label} ({number(sign * score)})" for label, score in scores.items() if score < ups]
        if ahead:
            mine = "diverged" if math.isinf(ups) else number(sign * ups)
            sentences.append(f"**UPS ({mine}) is behind {', '.join(ahead)} {word}.**")
    wild = [
        label
        for label, ending, seeds in variants
        if any(r[f"bounded{ending}"] is None or r[f"bounded{ending}"] > 2 * r["largest_true"] for r in seeds)
    ]
    if wild:
        sentences.append(f"Long rollouts exceed twice the largest value of the data: {', '.join(wild)}.")
    return " ".join(sentences)


def _score(value: float | None, sign: int) -> float:
    """A score of which less is better; infinite where a forecast diverged."""
    return math.inf if value is None else sign * value


def _tried(tried: Sequence[dict[str, Any]]) -> list[str]:
    """Validation errors of every configuration, on each system that is tuned on."""
    rows = []
    for system in dict.fromkeys(TUNED_ON.values()):
        for name in MODELS:
            own = _of(tried, system=system, model=name)
            best = min((_score(r["training"]["best_score"], 1) for r in own), default=math.inf)
            for r in own:
                score, candidate = r["training"]["best_score"], r["cell"].removeprefix(f"{system}_{name}_")
                shown = f"**{number(score)}**" if score is not None and score == best else number(score)
                rows.append([f"{system}: {NAMES[name]}, `{candidate}`", shown])
    heads = ("configuration, batches of 16 (UPS: 8) unless named", "validation nRMSE")
    return ["### What was tried in 2D", table(heads, rows)] if rows else []
