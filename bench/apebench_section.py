"""Section of the document on APEBench."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.apebench import COLUMNS, NETWORKS, PUBLISHED, SCENARIOS, SMALL
from bench.cells import records
from bench.scale import Place
from bench.tables import number, over_seeds, section, table

HEADS = ("scenario, column", "UPS", "best published", "ratio", "weights", "updates", "seconds of one thread")
OWN_HEADS = (
    "scenario, its network",
    "trained here",
    "published",
    "ratio",
    "weights",
    "updates",
    "seconds of one thread",
)
SIZES = "; ".join(f"in {n}D {', '.join(f'`{change}`' for change in changes)}" for n, changes in SMALL.items())
TEXT = (
    "[APEBench](https://arxiv.org/abs/2411.00180) by its own protocol: 50 training trajectories of 50 steps, "
    "10,000 updates of batches of 20, geometric mean over steps 1 to 100 of the nRMSE on 30 test trajectories. "
    f"`default` is the shipped configuration, `small` ({SIZES}) has as many weights as the published networks, 27,000 "
    "to 33,000, whose scores are read off the paper's figure. The best epoch is chosen on five of the training "
    "trajectories, so no other data are seen."
)
CALIBRATION = (
    "Networks of its own, trained and scored here by its own code, beside their published scores: how far data, metric "
    "and updates are the same."
)


def apebench(place: Place) -> str:
    """Scores of both columns beside the best published network, with weights, updates and seconds; then those of its
    own networks."""
    found, rows, own_rows = records(place, "apebench"), [], []
    for scenario in SCENARIOS:
        published = PUBLISHED[scenario]
        best = min(published, key=lambda name: published[name])
        for column in (*COLUMNS, *NETWORKS.get(scenario, {})):
            own = [r for r in found if (r["settings"]["scenario"], r["settings"]["column"]) == (scenario, column)]
            if own and column in COLUMNS:
                rows.append(_row(f"{scenario}, {column}", own, published[best], f" ({best})"))
            elif own:
                own_rows.append(_row(f"{scenario}, {column}", own, published[column]))
    if not rows:
        return ""
    calibration = f"\n\n{CALIBRATION}\n\n{table(OWN_HEADS, own_rows)}" if own_rows else ""
    return section("APEBench", TEXT, table(HEADS, rows) + calibration)


def _row(title: str, own: Sequence[dict[str, Any]], published: float, network: str = "") -> tuple[str, ...]:
    """A row of either table, over seeds."""
    scores = [r["score"] for r in own]
    ratio = None if None in scores else sum(scores) / len(scores) / published
    return (
        title,
        over_seeds(scores),
        number(published) + network,
        "–" if ratio is None else f"{ratio:.3f}",
        f"{own[0]['weights']:,}",
        f"{own[0]['updates']:,}",
        f"{sum(r['seconds'] for r in own) / len(own):,.0f}",
    )
