"""Runs the benchmarks, cell by cell; what has a result is not run again, so that a stopped run goes on.

    python -m bench.run [--short] [--only 'peers/ks_*'] [--workers 2] [--list]
    python -m bench.run --cell apebench/diff_ks_small_seed0

Every cell is a process of its own with one thread, on a core of its own where the system allows it. Cells that measure
time or memory of small things run alone. To measure a cell again, delete its line in
`bench/results` and its folder in `runs/bench`.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.catalogue import all_cells
from bench.cells import Cell, Phase, pending, run_cell
from bench.document import write_document
from bench.scale import FULL, SHORT, Place

ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
}
SHORT_PLACE = Place(Path("runs/bench-short/results"), Path("runs/bench-short"), Path("data/bench-short"))


def main() -> int:
    """Runs what is asked for; returns how many cells failed."""
    options = _options()
    scale, place = (SHORT, SHORT_PLACE) if options.short else (FULL, Place())
    cells = all_cells(scale)
    if options.cell:
        cell = next(cell for cell in cells if cell.title == options.cell)
        if hasattr(os, "sched_setaffinity") and options.core is not None:
            os.sched_setaffinity(0, {options.core})
        print(json.dumps(run_cell(cell, place), allow_nan=False))
        return 0
    left = pending(cells, place, options.only)
    if options.list:
        print(listing(left, options.workers))
        return 0
    failed = [cell for phase in Phase for cell in run_phase(phase, left, options)]
    for cell in failed:
        print(f"failed: {cell.title}; see {log_of(cell, place)}")
    target = Path("docs/benchmarks.md") if scale is FULL else place.runs / "benchmarks.md"
    print(f"tables and pictures: {write_document(place, target)}")
    return len(failed)


def run_phase(phase: Phase, cells: Sequence[Cell], options: argparse.Namespace) -> list[Cell]:
    """Runs the cells of a phase, side by side where that disturbs no measurement, and returns those that failed."""
    due = [cell for cell in cells if cell.phase is phase]
    workers = 1 if phase is Phase.ALONE else options.workers
    cores: queue.Queue[int] = queue.Queue()
    for core in list(available_cores())[:workers]:
        cores.put(core)

    def work(cell: Cell) -> bool:
        core = cores.get()
        try:
            return run_process(cell, core, options.short)
        finally:
            cores.put(core)

    with ThreadPoolExecutor(workers) as pool:
        return [cell for cell, good in zip(due, pool.map(work, due), strict=True) if not good]


def run_process(cell: Cell, core: int, short: bool) -> bool:
    """Runs a cell in a process of its own; says how long it took and whether it went well."""
    place = SHORT_PLACE if short else Place()
    command = [sys.executable, "-m", "bench.run", "--cell", cell.title, "--core", str(core)]
    log = log_of(cell, place)
    log.parent.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    with log.open("w") as out:
        environment = {**os.environ, **ONE_THREAD}
        code = subprocess.run([*command, *(["--short"] if short else [])], env=environment, stdout=out, stderr=out)
    good = code.returncode == 0
    print(f"{'done' if good else 'FAILED':<7}{cell.title:<60}{time.perf_counter() - began:7.0f} s", flush=True)
    return good


def available_cores() -> Sequence[int]:
    """Cores that this process may use."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)


def log_of(cell: Cell, place: Place) -> Path:
    """Where a cell's output goes."""
    return place.runs / "logs" / f"{cell.title.replace('/', '_')}.log"


def listing(cells: Sequence[Cell], workers: int) -> str:
    """Cells with the seconds that each will about take, and their sums for each benchmark."""
    lines = [f"{cell.title:<70}{cell.seconds:8.0f} s" for cell in cells]
    lines.append("")
    for bench in dict.fromkeys(cell.bench for cell in cells):
        own = [cell for cell in cells if cell.bench == bench]
        lines.append(f"{bench:<12}{len(own):5} cells{sum(cell.seconds for cell in own) / 60:8.0f} min")
    alone = sum(cell.seconds for cell in cells if cell.phase is Phase.ALONE)
    rest = sum(cell.seconds for cell in cells) - alone
    lines.append(f"in all about {(alone + rest / workers) / 3600:.1f} h with {workers} at once")
    return "\n".join(lines)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--short", action="store_true", help="a look at every part, in minutes")
    parser.add_argument("--only", default="*", metavar="PATTERN", help="cells by title, such as 'peers/ks_*'")
    parser.add_argument("--workers", type=int, default=len(available_cores()), help="cells at once, one core each")
    parser.add_argument("--list", action="store_true", help="print what would run and how long it takes")
    parser.add_argument("--cell", metavar="NAME", help="run one cell again and print its record as the last line")
    parser.add_argument("--core", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
