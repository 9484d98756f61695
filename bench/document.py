"""Writes the document of the benchmarks from their result files: tables, pictures, and what was not reached.

python -m bench.document
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from bench import apebench_section, compression_section, cost_sections, peer_sections, pictures, planar_section
from bench.catalogue import outdated
from bench.cells import records
from bench.scale import FULL, SHORT, Place

BENCHES = (
    "data",
    "tuning",
    "peers",
    "stages",
    "classical",
    "speed",
    "growth",
    "memory",
    "distill",
    "apebench",
    "planar",
    "compression",
)
SECTIONS: Sequence[Callable[[Place], str]] = (
    apebench_section.apebench,
    planar_section.planar,
    compression_section.compression,
    peer_sections.targets,
    peer_sections.equal_time,
    peer_sections.budgets,
    peer_sections.weights,
    peer_sections.data_sizes,
    cost_sections.classical,
    cost_sections.ablations,
    cost_sections.speed,
    cost_sections.growth,
    cost_sections.memory,
    cost_sections.distillation,
    peer_sections.tuning,
    cost_sections.data,
)
LEARNT = Path(__file__).parent / "learnt.md"
"""What was found out on the validation split, and what did not help: the one part that no cell measures."""
INTRODUCTION = """# Benchmarks

`make bench-full` measures everything here (about 18 hours on two cores by its own estimate) and writes this page;
`make bench` takes minutes for a small look at every part, which says nothing about the models. What has a result in
`bench/results` is not measured again.

Models are compared at **equal time**: each is trained from scratch on the same trajectories for the same seconds on one
thread, its scores on the validation split included, and its learning rate falls along a cosine that follows the clock.
UPS is here `bench/patches.yaml`: learnt patches, the default when these cells were measured; today's default is scored
under APEBench. The Fourier neural operator (`neuraloperator`: width 64, modes 64, 4 layers) and the U-Net see one frame
and the PDE parameters, predict the change to the next, and are trained by AdamW on the relative error of single steps,
or of rollouts of up to three steps; shifts and the average of the weights are as in UPS. For each model three learning
rates were tried, for a minute each or, for the FNO on single steps, against which targets are set, for three; the
validation split chose. The tuning was not equal beyond that: the design of UPS was chosen among some thirty variants on
the validation split of Burgers with ν = 0.001, and there it trains in bfloat16; the peers keep their usual sizes,
batches of 16 and float32. **So the FNO in these tables was not tuned as UPS was**: at equal time a narrow one (width
32, Muon, real products, batches of 32) has been seen ahead of UPS on Burgers with ν = 0.001 (from frame 0, after a
minute and a half, 0.037 with means held) and on Kuramoto–Sivashinsky (correlation time 58.5 where UPS has 54.2).
"Latent" names where the operator works, not a small space: the last column of the tables is the size of a field over
that of its latent. As many trainings run side by side as there are cores, each on its own. Where a mean is conserved,
UPS holds it (`latent.hold_means`); "means held" gives the same to a peer after its training. Data are generated in
PDEBench's layout."""


def document(place: Place) -> str:
    """The page in Markdown; parts without results are left out."""
    learnt = LEARNT.read_text().strip() if records(place, "peers") else ""
    parts = [INTRODUCTION, setup(place), *(section(place) for section in SECTIONS), learnt]
    return "\n\n".join(part for part in parts if part) + "\n"


def setup(place: Place) -> str:
    """Machines, versions and time."""
    found = [record["machine"] for bench in BENCHES for record in records(place, bench)]
    if not found:
        return "No results are there yet."
    small = any(record["settings"]["scale"] == "short" for record in records(place, "peers"))
    machines = {f"{m['cpu']}, {m['cores']} cores, Python {m['python']}": m["versions"] for m in found}
    lines = [
        f"Measured on {name}, one thread, with {', '.join(f'{package} {v}' for package, v in versions.items())}."
        for name, versions in machines.items()
    ]
    short = f"**A small look: a minute of training lasted {SHORT.minute:g} s.**" if small else ""
    names = ", ".join(outdated(place, SHORT if small else FULL))
    stale = f"**Results of other settings than those of today, to be measured again: {names}.**" if names else ""
    return "\n\n".join(filter(None, [*lines, cost_sections.duration(place), short, stale]))


def write_document(place: Place, target: Path) -> Path:
    """Writes the page, with its pictures in `images/` beside it; returns its path."""
    text, images = document(place), target.parent / "images"
    target.parent.mkdir(parents=True, exist_ok=True)
    drawn = {
        "bench_time.png": pictures.training_time,
        "bench_solver.png": pictures.solver_costs,
        "bench_growth.png": pictures.token_growth,
    }
    for name, draw in drawn.items():
        if name in text:
            draw(place, images / name)
    target.write_text(text)
    return target


if __name__ == "__main__":
    print(write_document(Place(), Path("docs/benchmarks.md")))
