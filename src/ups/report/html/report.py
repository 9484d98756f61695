"""`report.html`: what was trained on what, how well it does, what each stage bought, and how to get it again."""

from __future__ import annotations

import base64
import json
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import yaml

from ups.core.files import write_text
from ups.core.pictures import FIELD, SIGNED, SPREAD
from ups.evaluation.predictions import read_predictions
from ups.report.hardware import hardware
from ups.report.health import findings
from ups.report.html.calibration import band_table, moment_table
from ups.report.html.channels import channel_section
from ups.report.html.curves import curves, training
from ups.report.html.embedded_fields import embedded_fields
from ups.report.html.ledger import ledger_section
from ups.report.html.markup import Markup, join, tag
from ups.report.html.sections import (
    cost_table,
    data_section,
    health_list,
    notices,
    reproduce,
    subtitle,
    tiles,
)
from ups.report.html.ttc import ttc_section
from ups.report.scores import RunScores
from ups.tracking.jsonl import read_log
from ups.ttc.comparison import Comparison

SCRIPTS = ("page.js", "axes.js", "chart.js", "heat.js", "viewer.js", "scores.js")
"""Joined in this order into one script."""
LOOKED_AT = 16
"""Stored trajectories from which those of the page are chosen."""


def write_report(folder: Path, scores: RunScores, config_text: str, log: Path, command: str) -> Path:
    """Write `folder/report.html`, a page that needs nothing but itself, and return its path.

    `scores` is what `metrics.json` holds, `config_text` the resolved YAML, `log` the JSONL training log (it may be
    missing), `command` what the user typed. Reads `folder/predictions.h5`; equal inputs give an equal file.
    Raises UserError if there are no stored forecasts.
    """
    read = read_log(log)
    entries = read.epochs
    predictions = read_predictions(folder / "predictions.h5", slice(0, LOOKED_AT))
    fields = embedded_fields(predictions, scores.protocol.context, _scores(scores))
    drawn = {
        **curves(scores),
        "fields": fields,
        "params": scores.protocol.params,
        "training": training(entries),
        "colours": {name: _colours(name) for name in (FIELD, SIGNED, SPREAD)},
    }
    name = folder.resolve().name
    sections = _sections(scores, fields is not None, entries, config_text, command)
    page = Template(_resource("page.html")).substitute(
        title=tag("title", f"{name} · UPS report"),
        name=tag("h1", name),
        subtitle=tag("p", subtitle(scores.protocol), class_="subtitle"),
        tiles=tiles(scores) + notices(scores, read.notice),
        links="".join(tag("a", title, href=f"#{key}") for key, (title, _) in sections.items()),
        sections="".join(
            tag("section", tag("h2", title), body, id_=key, aria_label=title) for key, (title, body) in sections.items()
        ),
        style=_resource("page.css"),
        script="\n".join(_resource(script) for script in SCRIPTS),
        data=json_in_html(drawn),
    )
    return write_text(folder / "report.html", page, "report")


def json_in_html(value: Any) -> str:
    """Strict JSON that can stand inside a `script` element, whatever its strings hold."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"), ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _sections(
    scores: RunScores, viewer: bool, entries: list[dict[str, Any]], config_text: str, command: str
) -> dict[str, tuple[str, Markup]]:
    """Anchor of every section to its title and content, in the order of the page; those without content are left
    out."""
    rows, leads = scores.rows, scores.spectra.lead_times
    ensembles = any(row.members > 1 and row.error is None for row in rows)
    bands = band_table(rows) if leads else Markup("")
    calibration = join(_slot("calibration-curves"), moment_table(rows), bands) if ensembles else None
    checked = health_list(findings(entries, _grad_clip(config_text)))
    found = {
        "ledger": ("What each stage bought", ledger_section(scores)),
        "channels": ("Channel by channel", channel_section(scores)),
        "forecasts": ("Forecasts", _slot("viewer") if viewer else None),
        "errors": ("Error against lead time", _slot("error-curves")),
        "calibration": ("Calibration", calibration),
        "spectra": ("Spectra", join(_slot("spectrum-curves"), "" if ensembles else bands) if leads else None),
        "ttc": ("Test-time conditioning", _conditioning(scores.ttc) if scores.ttc else None),
        "training": ("Training", join(checked, _slot("training-curves")) if entries else None),
        "costs": ("Costs", join(_slot("cost-picture"), cost_table(scores))),
        "data": ("Data", data_section(scores.protocol)),
        "reproduce": ("How to reproduce", reproduce(scores.protocol, config_text, command)),
    }
    return {key: (title, body) for key, (title, body) in found.items() if body is not None}


def _conditioning(result: Comparison) -> Markup:
    """The comparison of strategies, which may have been timed elsewhere than the ledger."""
    return join(ttc_section(result), tag("p", f"Times measured on {hardware(result)}.", class_="note"))


def _slot(name: str) -> Markup:
    """Where the script draws."""
    return tag("div", tag("noscript", "This picture is drawn by a script."), id_=name)


def _scores(scores: RunScores) -> list[float | None]:
    """nRMSE of every trajectory by the last trained row with a score, else by the first row."""
    return (scores.models or scores.rows[:1])[-1].per_trajectory.nrmse


def _grad_clip(config_text: str) -> float | None:
    """`training.grad_clip` of a resolved config."""
    return yaml.safe_load(config_text)["training"]["grad_clip"]


def _colours(name: str) -> str:
    """256 RGB colours of a matplotlib colour map, in base64."""
    from matplotlib import colormaps

    rgba = colormaps[name](np.linspace(0, 1, 256), bytes=True)
    return base64.b64encode(np.asarray(rgba)[:, :3].tobytes()).decode()


def _resource(name: str) -> str:
    return (files("ups.report.html") / name).read_text(encoding="utf-8")
