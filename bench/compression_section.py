"""Section of the document on latents that are smaller than the field."""

from __future__ import annotations

import statistics

from bench.cells import records
from bench.compression import RATIOS, SYSTEMS
from bench.scale import Place
from bench.tables import number, over_seeds, section, table

COLUMNS = {
    "floor": "floor",
    "one step": "one_step",
    "rollout": "rollout",
    "rollout in latent space": "rollout_latent",
    "correlation time": "correlation_time",
}
"""Heads of the scores, and what they are called in a result."""


def compression(place: Place) -> str:
    """Scores and costs at each ratio, each rollout beside that of the exact codec."""
    found, rows = records(place, "compression"), []
    for system in SYSTEMS:
        alike = {
            ratio: [r for r in found if (r["settings"]["system"], r["settings"]["ratio"]) == (system, ratio)]
            for ratio in RATIOS
        }
        exact = [r["rollout"] for r in alike[1]]
        for ratio, own in alike.items():
            if not own:
                continue
            finite = None not in (errors := [r["rollout"] for r in own])
            beside = finite and exact and None not in exact
            times = [statistics.fmean(r[key] for r in own) for key in ("ms_per_step", "ms_per_step_latent")]
            rows.append(
                (
                    f"{system}, {ratio}×" if ratio > 1 else f"{system}, exact",
                    *(over_seeds([r[key] for r in own]) for key in COLUMNS.values()),
                    f"{statistics.fmean(errors) / statistics.fmean(exact):.2f}" if beside else "–",
                    " / ".join(number(value) for value in times),
                    f"{own[0]['weights']:,}",
                    f"{statistics.fmean(r['updates'] for r in own):,.0f}",
                )
            )
    heads = ("system, ratio", *COLUMNS, "rollout over exact", "ms a step, field / latent", "weights", "updates")
    text = (
        "Fields of 64 × 64 points with latents 8, 32 and 64 times smaller (`latent.compression`), beside the shipped "
        "default, whose latent is the field. Each is trained for ten minutes on one thread, codec and operator jointly "
        "from the start, at the default rate; scores are nRMSEs on the test split. The floor is what encoding and "
        "decoding the truth costs. Rollouts are from frame 0, re-encoded at each step or in latent space throughout."
    )
    return section("Compression", text, table(heads, rows)) if rows else ""
