"""Sections of the document on UPS and its peers at equal time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.cells import records
from bench.contenders import HELD, LATENT, SMALL_LATENTS
from bench.peers import FURTHER, MINUTES
from bench.problems import MAIN
from bench.results import MODEL, Result, chosen, mean, paired, results, whole
from bench.scale import Place
from bench.tables import held_for, number, over_seeds, section, table

NAMES = {
    "ups": "UPS",
    "fno": "FNO",
    "fno-rollout": "FNO, trained on rollouts",
    "unet": "U-Net",
    SMALL_LATENTS: "UPS, latents of an eighth of a field",
    "convnext": "ConvNeXt U-Net",
}
SIZES = {
    "ups-narrow": "UPS, blocks of width 32, convolutions of 16 channels",
    "ups": "UPS, blocks of width 64, convolutions of 32 channels",
    "ups-wide": "UPS, blocks of width 128, convolutions of 48 channels",
    "fno-narrow": "FNO of width 32",
    "fno": "FNO of width 64",
    "fno-wide": "FNO of width 96",
}
ROWS = {LATENT: "in latent space", HELD: "means held"}
CHAOTIC = "ks"
"""Errors over a whole rollout say little where every forecast is lost in the end: what counts is how long it holds."""
PARTS = {"rollout": "from frame 0", "rollout_context_10": "from frame 9"}
HEADS = (
    "model",
    "one step",
    "rollout from frame 0",
    "from frame 9",
    "cRMSE (σ)",
    "fRMSE low / mid / high (σ)",
    "correlation time",
    "ms/step",
    "training",
    "steps",
    "weights",
    "field / latent",
)
TARGETS = {"error": 1 / 3, "correlation": 1.3, "latent": 1.2, "compressed": 1.1}
"""UPS over FNO in error, at most; in correlation time on Kuramoto-Sivashinsky, at least; the rollout in latent space
over the one in the space of fields, at most; small latents over large ones, at most."""


def equal_time(place: Place) -> str:
    """One table for each problem."""
    found = results(place)
    parts = [
        "Free rollouts are scored on all frames after the given one, single steps from every true frame, as "
        "[nRMSE](evaluation.md#deterministic-metrics): the mean over seeds, and their range. "
        f"{MINUTES:g} minutes of training. σ is the deviation of the training split; correlation time is in the units "
        "of the equation. "
        '"In latent space" forecasts without decoding between steps; "means held" shifts every forecast of a peer to '
        "the spatial mean of its first frame, where the training data conserve it. The last column is the size of a "
        "field over that of its latent: below 1 the latent is the larger."
    ]
    for problem in dict.fromkeys(r.problem for r in found):
        trained = chosen(whole(found), problem=problem, minutes=MINUTES)
        rows = [row for name in NAMES if (own := chosen(trained, model=name)) for row in _rows(NAMES[name], own)]
        parts.append(f"### {problem}\n\n{table(HEADS, [*_persistence(place, problem), *rows])}")
    return section("At equal time", *parts) if found else ""


def _persistence(place: Place, problem: str) -> list[list[str]]:
    held = [r for r in records(place, "classical") if r["settings"]["problem"] == problem]
    return [_cells("persistence", [r["scores"]["persistence"]], "–", "–") for r in held]


def _rows(name: str, own: Sequence[Result]) -> list[list[str]]:
    size, steps = own[0].training.get("compression"), number(mean([r.training["step"] for r in own]))
    kept = [row for row in (MODEL, *ROWS) if all(row in r.scores for r in own)]
    return [
        _cells(
            name if row == MODEL else f"{name}, {ROWS[row]}",
            [r.scores[row] for r in own],
            steps,
            f"{size:g}" if size else "–",
        )
        for row in kept
    ]


def _cells(name: str, scores: Sequence[Any], steps: str, size: str) -> list[str]:
    def of(part: str, key: str) -> str:
        return over_seeds([score[part][key] for score in scores])

    bands = " / ".join(number(mean([s["rollout"][f"frmse_{band}"] for s in scores])) for band in ("low", "mid", "high"))
    rollouts = [score["rollout"] for score in scores]
    lost = sum(rollout["correlation_lost"] for rollout in rollouts)
    time = held_for([rollout["correlation_time"] for rollout in rollouts], lost)
    return [
        name,
        of("one_step", "nrmse"),
        of("rollout", "nrmse"),
        of("rollout_context_10", "nrmse"),
        number(mean([score["rollout"]["crmse"] for score in scores])),
        bands,
        time,
        number(mean([score["ms_per_step"] for score in scores])),
        f"{mean([score['train_seconds'] for score in scores]) or 0:.0f} s",
        steps,
        f"{scores[0]['parameters']:,}",
        size,
    ]


def targets(place: Place) -> str:
    """Ratios that were aimed at, and where they do not hold."""
    found = results(place)
    if not found:
        return ""
    main = chosen(whole(found), minutes=MINUTES)
    rows: list[list[str]] = []
    for problem in dict.fromkeys(r.problem for r in main):
        ups = chosen(main, problem=problem, model="ups")
        rows += _against_peers(problem, ups, main) + _in_latent_space(problem, ups)
    pairs = paired(chosen(main, model=SMALL_LATENTS), chosen(main, problem=MAIN, model="ups"))
    small = [_ratio(a.error(), b.error()) for a, b in pairs]
    title = f"{MAIN}: error from frame 0, latents of an eighth of a field / as large as in bench/patches.yaml"
    rows.append(_verdict(title, small, TARGETS["compressed"]))
    held, missed = (sum(row[-1] == word for row in rows) for word in ("yes", "**no**"))
    unknown = len(rows) - held - missed
    sentence = (
        f"{held} hold, {missed} do not{f', {unknown} are not measured' if unknown else ''}. A ratio is taken seed by "
        "seed; its mean decides. The aims were set beforehand for Burgers, Kuramoto–Sivashinsky and the FNO as it "
        "is; advection, the FNO that learns from rollouts and means held are judged by the same."
    )
    return section("What was aimed at", sentence, table(("ratio", "mean and range", "seeds", "aim", "holds"), rows))


def _against_peers(problem: str, ups: Sequence[Result], found: Sequence[Result]) -> list[list[str]]:
    """Verdicts on UPS over the FNO, as it is and with its means held; in a chaotic system on times, in others on
    errors."""
    rows: list[list[str]] = []
    for peer, row in ((peer, row) for peer in ("fno", "fno-rollout") for row in (MODEL, HELD)):
        pairs = [(a, b) for a, b in paired(ups, chosen(found, problem=problem, model=peer)) if row in b.scores]
        if not pairs and row == HELD:
            continue
        name = f"UPS / {NAMES[peer]}{f', {ROWS[row]}' if row == HELD else ''}"
        if problem == CHAOTIC:
            times = [_ratio(a.time(), b.time(row)) for a, b in pairs]
            rows.append(_verdict(f"{problem}: correlation time, {name}", times, TARGETS["correlation"], at_least=True))
            continue
        for part, start in PARTS.items():
            ratios = [_ratio(a.error(part=part), b.error(row, part)) for a, b in pairs]
            rows.append(_verdict(f"{problem}: error {start}, {name}", ratios, TARGETS["error"]))
    return rows


def _in_latent_space(problem: str, ups: Sequence[Result]) -> list[list[str]]:
    """Verdicts on the rollout in latent space over the one that encodes its forecasts again."""
    if problem == CHAOTIC:
        times = [_ratio(r.time(), r.time(LATENT)) for r in ups]
        title = f"{problem}: correlation time, UPS re-encoded / in latent space"
        return [_verdict(title, times, TARGETS["latent"])]
    return [
        _verdict(
            f"{problem}: error {start}, UPS in latent space / re-encoded",
            [_ratio(r.error(LATENT, part), r.error(part=part)) for r in ups],
            TARGETS["latent"],
        )
        for part, start in PARTS.items()
    ]


def _ratio(a: float | None, b: float | None) -> float | None:
    return None if a is None or not b else a / b


def _verdict(title: str, ratios: Sequence[float | None], aim: float, at_least: bool = False) -> list[str]:
    """A row of the table; a ratio holds if its mean does."""
    ratio, sign = mean(ratios), "≥" if at_least else "≤"
    holds = ratio is not None and (ratio >= aim if at_least else ratio <= aim)
    verdict = "yes" if holds else "**no**" if ratios else "not measured"
    return [title, over_seeds(ratios), str(len(ratios)), f"{sign} {aim:.2f}", verdict]


def budgets(place: Place) -> str:
    """Errors against training time."""
    found = [r for r in chosen(whole(results(place)), problem=MAIN) if r.model in FURTHER]
    times = sorted({r.minutes for r in found})
    curves = [
        ("UPS", "ups", MODEL, "rollout"),
        ("UPS, in latent space", "ups", LATENT, "rollout"),
        ("FNO", "fno", MODEL, "rollout"),
        ("FNO, means held", "fno", HELD, "rollout"),
        ("UPS, one step", "ups", MODEL, "one_step"),
        ("FNO, one step", "fno", MODEL, "one_step"),
    ]
    rows = []
    for label, name, row, part in curves:
        own = [chosen(found, model=name, minutes=minutes) for minutes in times]
        rows.append([label, *(over_seeds([r.error(row, part) for r in at if row in r.scores]) for at in own)])
    heads = ("model", *(f"{minutes:g} min" for minutes in times))
    picture = "![Error of the free rollout against training time](images/bench_time.png)"
    return section(f"More and less time ({MAIN})", table(heads, rows), picture) if len(times) > 1 else ""


def weights(place: Place) -> str:
    """Error against the number of weights."""
    found = chosen(whole(results(place)), problem=MAIN, minutes=MINUTES)
    rows = [
        [
            label,
            f"{own[0].scores[MODEL]['parameters']:,}",
            *(over_seeds([r.error(part=part) for r in own]) for part in ("one_step", *PARTS)),
            number(mean([r.training["step"] for r in own])),
        ]
        for name, label in SIZES.items()
        if (own := chosen(found, model=name))
    ]
    heads = ("model", "weights", "one step", "rollout from frame 0", "from frame 9", "steps")
    text = (
        f"{MINUTES:g} minutes of training for every size, at the learning rate of the usual one; a range where there "
        "are three seeds."
    )
    title = f"Smaller and larger ({MAIN})"
    return section(title, text, table(heads, rows)) if len(rows) > len(FURTHER) else ""


def data_sizes(place: Place) -> str:
    """Error against the number of training trajectories, with the first seed."""
    found = [r for r in chosen(results(place), problem=MAIN, minutes=MINUTES, seed=0) if r.model in FURTHER]
    sizes = sorted({r.trajectories for r in found})
    rows = [
        [NAMES[name], *(over_seeds([r.error() for r in chosen(found, model=name, trajectories=n)]) for n in sizes)]
        for name in FURTHER
    ]
    heads = ("model", *(f"{n:,} trajectories" for n in sizes))
    return section(f"Fewer data ({MAIN}, one seed)", table(heads, rows)) if len(sizes) > 1 else ""


def tuning(place: Place) -> str:
    """Validation errors of the learning rates that were tried."""
    found = [(record["settings"], record["training"]["best_score"]) for record in records(place, "tuning")]
    rows = [
        [f"{s['problem']}: {NAMES[s['model']]}", f"{s['rate']:g}", number(score)]
        for s, score in sorted(found, key=lambda pair: (pair[0]["problem"], pair[0]["model"], pair[0]["rate"]))
    ]
    text = (
        "One minute each, three for the FNO on single steps, first seed, error of the free rollout on the validation "
        "split; the smallest was taken, at an end of the three too. Burgers with ν = 0.01 and advection take the rates "
        "of ν = 0.001, and all times of training take the same."
    )
    return section("Learning rates", text, table(("model", "rate", "validation nRMSE"), rows)) if rows else ""
