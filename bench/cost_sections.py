"""Sections of the document on what parts buy and what things cost: ablations, solver, speed, growth, memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.cells import records
from bench.classical import runs_of
from bench.contenders import LATENT
from bench.growth import POINTS_PER_TOKEN
from bench.peer_sections import NAMES
from bench.peers import MINUTES
from bench.results import MODEL, chosen, mean, results, whole
from bench.scale import Place
from bench.tables import number, section, table
from ups.evaluation.breakeven import SolverRun, break_even

ROLLED = {**NAMES, f"ups ({LATENT})": "UPS, in latent space"}
"""Names of what is rolled out."""


def ablations(place: Place) -> str:
    """One change at a time, the best first."""
    found = {record["settings"]["change"]: record for record in records(place, "stages")}
    if "as it is" not in found:
        return ""

    def error(record: dict[str, Any], row: str, part: str = "rollout") -> float | None:
        return record["scores"][row][part]["nrmse"]

    usual = error(found["as it is"], MODEL)
    rows = [
        [
            change,
            number(error(record, MODEL, "one_step")),
            number(error(record, MODEL)),
            number(error(record, LATENT)),
            number(value / usual) if (value := error(record, MODEL)) and usual else "–",
            f"{record['training']['step']:,}",
        ]
        for change, record in sorted(found.items(), key=lambda item: error(item[1], MODEL) or float("inf"))
    ]
    heads = ("change", "one step", "rollout", "rollout in latent space", "rollout over as it is", "steps")
    text = (
        "One change at a time to UPS as it is on this problem (`bench/patches.yaml` in bfloat16), a minute of training "
        "each, one seed. Three seeds of the same model differ by up to 1.5 times after a minute, and the "
        "speed of this machine by up to a fifth between one minute and another (see the steps), so that smaller "
        "differences decide nothing. The number of layers of the stem and the depth of the codec's head are no "
        "settings, and so not among the changes."
    )
    return section("What each part buys", text, table(heads, rows))


def classical(place: Place) -> str:
    """The solver on coarser grids, and after how many forecasts a model has paid against it."""
    trained, parts = whole(results(place)), []
    for record in records(place, "classical"):
        problem = record["settings"]["problem"]
        runs = list(runs_of(record))
        front = [run for run in runs if not any(_better(other, run) for other in runs)]
        rows = [
            [run.name, number(run.error), number(1e3 * run.seconds)] for run in sorted(front, key=lambda r: r.error)
        ]
        heads = ("solver", "rollout nRMSE", "ms per forecast")
        lines = [f"### {problem}: the solver", table(heads, rows)]
        frames = record["data"]["frames"] - 1
        for name in ("ups", "fno"):
            own = chosen(trained, problem=problem, model=name, minutes=MINUTES)
            error = mean([r.error() for r in own])
            ms, spent = (mean([r.scores[MODEL][key] for r in own]) for key in ("ms_per_step", "train_seconds"))
            if error is not None and ms is not None and spent is not None:
                pays = break_even(error, ms * frames / 1e3, spent, runs)
                lines.append(f"{NAMES[name]} (nRMSE {number(error)}): {pays.sentence}.")
        parts.append("\n\n".join(lines))
    text = (
        "The spectral solver of the same equation on the grid of the data and coarser ones, with smaller and larger "
        "steps, one thread, all test trajectories at once; of all that were tried, those that no other beats in "
        "error and time. Where it repeats the grid and the steps that made the data it shares their error, which the "
        "last table of this page gives. Break-even is against the cheapest that is at least as accurate as the "
        "model, by the means over its seeds and without the generation of training data."
    )
    picture = "![Error of the free rollout against the time of a forecast](images/bench_solver.png)"
    return section("Against the classical solver", text, picture, *parts) if parts else ""


def _better(one: SolverRun, other: SolverRun) -> bool:
    """Whether a run is cheaper than another and about as accurate, or more accurate and no dearer."""
    if one.error < other.error and one.seconds <= other.seconds:
        return True
    return one.error <= 1.001 * other.error and one.seconds < other.seconds


def speed(place: Place) -> str:
    """Training steps, variants, rollouts and the start of the program."""
    found = {record["settings"]["what"]: record for record in records(place, "speed")}
    parts = []
    if "training" in found:
        record = found["training"]
        rows = [
            [
                NAMES[name],
                number(m["steps_per_second"]),
                number(m["samples_per_second"]),
                f"{100 * m['overhead']:.1f} %",
                number(m["gflops"]),
                f"{number(m['matmul_gflops'])} ({m['precision']})",
                f"{100 * m['gflops'] / m['matmul_gflops']:.0f} %",
            ]
            for name, m in record["models"].items()
        ]
        heads = (
            "training",
            "steps/s",
            "samples/s",
            "outside forward, backward, optimizer",
            "GFLOP/s",
            "of a matrix product",
            "share",
        )
        text = (
            "Operations are those of matrix products and convolutions in forward and backward, complex ones counted "
            "as real, without Fourier transforms and the optimizer; the time holds all of these. The matrix product "
            "is one of two matrices of 1,024 rows in the precision of the training."
        )
        parts.append(f"{table(heads, rows)}\n\n{text}")
    if "compilation and precision" in found:
        rows = [[name, number(ms)] for name, ms in found["compilation and precision"]["ms_per_step"].items()]
        parts.append(table(("training step of UPS", "ms"), rows))
    if "rollout" in found:
        times = found["rollout"]["ms_per_trajectory_step"]
        batches = list(next(iter(times.values())))
        solver = found["rollout"]["solver"] or {}
        names = {**ROLLED, "solver": "solver, {name}, nRMSE {error:.3g}"}
        rows = [
            [names[name].format_map(solver), *(number(by_batch[b]) for b in batches)]
            for name, by_batch in times.items()
        ]
        heads = ("rollout, ms for one step of one trajectory", *(f"{b} at once" for b in batches))
        parts.append(table(heads, rows))
    if "start" in found:
        parts.append(f"`ups --help` takes {number(found['start']['help_seconds'])} s from start to end.")
    return section("Speed", *parts)


def growth(place: Place) -> str:
    """Time against tokens, trajectories and members."""
    parts = []
    for record in records(place, "growth"):
        what, times = record["settings"]["what"], record["ms_per_step"]
        curves = times if what == "tokens" else {"UPS": times}
        sizes = list(next(iter(curves.values())))
        rows = [[name, *(number(curve[size]) for size in sizes)] for name, curve in curves.items()]
        parts.append(table((f"ms of a step, by {what}", *sizes), rows))
    picture = "![Time of a step against tokens](images/bench_growth.png)" if parts else ""
    text = (
        f"Untrained models of `bench/patches.yaml` in float32, {POINTS_PER_TOKEN} points a token, 32 tokens unless "
        "said. "
        "A step by tokens is one in latent space; the others encode and decode, and every member costs an evaluation "
        "of a residual network more."
    )
    return section("Growth", text, *parts, picture) if parts else ""


def memory(place: Place) -> str:
    """Peaks of processes."""
    labels = {"file": "file of {} MB, read window by window", "batch": "batches of {}", "tokens": "{} tokens"}
    found = sorted(records(place, "memory"), key=lambda r: (r["settings"]["what"], r["settings"]["value"]))
    rows = [
        [labels[r["settings"]["what"]].format(r["settings"]["value"]), number(r["peak_mb"]), number(r["imports_mb"])]
        for r in found
    ]
    heads = ("training of UPS", "peak in MB", "of it before anything is opened")
    return section("Memory", table(heads, rows)) if rows else ""


def data(place: Place) -> str:
    """What was generated."""
    found = sorted(records(place, "data"), key=lambda r: (r["settings"]["problem"], r["settings"]["split"]))
    rows = [
        [
            f"{r['settings']['problem']}, {r['settings']['split']}",
            f"{r['settings']['trajectories']:,}",
            number(1e3 * r["seconds_per_trajectory"]),
            "" if r["refinement_error"] is None else number(r["refinement_error"]),
        ]
        for r in found
    ]
    heads = ("problem and split", "trajectories", "ms for each", "nRMSE against twice the points and half the step")
    text = (
        "Milliseconds hold the compilation of the solver, shared by the trajectories of a split. Every result "
        "holds hashes of its data and of the values of each split, of which the first twelve digits stand below."
    )
    seen = [
        (f"{r['settings']['problem']}, {r['settings']['trajectories']:,} trajectories", r["data"])
        for r in records(place, "peers")
        if "data" in r
    ]
    return section("Data", text, table(heads, rows), *hashes(seen)) if rows else ""


def hashes(seen: Sequence[tuple[str, Mapping[str, Any]]]) -> list[str]:
    """The start of the hashes of data and splits that models saw, by the name of each data set, and a warning where
    they differ."""
    found: dict[str, set[tuple[str, ...]]] = {}
    for key, described in seen:
        splits = (described["splits"][split]["hash"][:12] for split in ("train", "validation", "test"))
        found.setdefault(key, set()).add((described["data_hash"][:12], *splits))
    rows = [[key, *(f"`{part}`" for part in hashes)] for key, all_ in sorted(found.items()) for hashes in sorted(all_)]
    mixed = [key for key, all_ in found.items() if len(all_) > 1]
    warning = [f"**Results of different data are mixed: {'; '.join(mixed)}.**"] if mixed else []
    return [table(("problem", "data", "train", "validation", "test"), rows), *warning] if rows else []


def distillation(place: Place) -> str:
    """What each optimisation of the distillation stage buys."""
    parts = []
    for record in records(place, "distill"):
        rows = [
            [name, number(pair["off_ms"]), number(pair["on_ms"]), f"{pair['speedup']:.2f}"]
            for name, pair in record["pairs"].items()
        ]
        heads = (f"optimisation, on {record['device']}", "off, ms a step", "on, ms a step", "off / on")
        parts.append(table(heads, rows))
    text = (
        "A step of stage 3 with each optimisation off and on, in turn; above 1 it pays here. Workers live as long as "
        "their stage whatever `persistent_workers` says, so there is nothing to switch."
    )
    return section("Distillation", text, *parts) if parts else ""


def duration(place: Place) -> str:
    """How long all trainings took with their scores."""
    trainings = [r for bench in ("tuning", "peers", "stages", "planar") for r in records(place, bench)]
    trainings = [r for r in trainings if "training" in r]
    found = [max(r["seconds"], r["training"]["seconds"]) for r in trainings]  # a cell that went on ran longer
    return f"{len(found)} trainings took {number(sum(found) / 3600)} hours of one thread." if found else ""
