"""Section of the document on APEBench."""

from __future__ import annotations

from bench.apebench import COLUMNS, PUBLISHED, SCENARIOS
from bench.cells import records
from bench.scale import Place
from bench.tables import number, over_seeds, section, table


def apebench(place: Place) -> str:
    """Scores of both columns beside the best published network, with weights, updates and seconds."""
    found = records(place, "apebench")
    rows = []
    for scenario in SCENARIOS:
        name, best = min(PUBLISHED[scenario].items(), key=lambda pair: pair[1])
        for column in COLUMNS:
            own = [r for r in found if (r["settings"]["scenario"], r["settings"]["column"]) == (scenario, column)]
            if not own:
                continue
            scores = [r["score"] for r in own]
            ratio = None if None in scores else sum(scores) / len(scores) / best
            rows.append(
                (
                    f"{scenario}, {column}",
                    over_seeds(scores),
                    f"{number(best)} ({name})",
                    "–" if ratio is None else f"{ratio:.3f}",
                    f"{own[0]['weights']:,}",
                    f"{own[0]['updates']:,}",
                    f"{sum(r['seconds'] for r in own) / len(own):,.0f}",
                )
            )
    heads = ("scenario, column", "UPS", "best published", "ratio", "weights", "updates", "seconds of one thread")
    text = (
        "[APEBench](https://arxiv.org/abs/2411.00180) by its own protocol: 50 training trajectories of 50 steps, "
        "10,000 updates of batches of 20, geometric mean over steps 1 to 100 of the nRMSE on 30 test trajectories. "
        "`default` is the shipped configuration, `small` (width 24 instead of 32) has as many weights as the published "
        "networks, 27,000 to 33,000, whose scores are read off the paper's figure. The best epoch is chosen on five of "
        "the training trajectories, so no other data are seen."
    )
    return section("APEBench", text, table(heads, rows)) if rows else ""
