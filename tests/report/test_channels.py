"""Scores channel by channel: where the numbers of a table and of the page stand, and in which unit."""

from __future__ import annotations

from io import StringIO

from rich.console import Console
from rich.table import Table

from tests.records import row, scores
from ups.report.channels import channel_table
from ups.report.html.channels import channel_section

CHANNELS = {
    name: {
        "std": std,
        **dict.fromkeys(("nrmse", "nrmse_pooled", "nrmse_one_step", "vrmse", "spread_skill"), 0.25),
        **dict.fromkeys(("rmse", "mae", "max", "crmse", "crps", "energy_score"), 0.5 * std),
    }
    for name, std in (("[p]", 1e5), ("<v>", 1.0))
}


def printed(table: Table) -> list[str]:
    console = Console(width=80, record=True, file=StringIO())
    console.print(table)
    return console.export_text().splitlines()


def test_every_channel_of_every_row_has_a_line_in_its_own_unit_within_80_columns() -> None:
    rows = [row("operator (latent space)", [0.1, 0.2], channels=CHANNELS), row("crps", [0.1, 0.2], channels=CHANNELS)]
    lines = printed(channel_table({"one": rows}))
    assert max(map(len, lines)) <= 80
    assert sum("[p]" in line and "50000" in line for line in lines) == 2
    assert sum("<v>" in line and "0.500" in line for line in lines) == 2
    assert "run" not in lines[0]
    both = printed(channel_table({"one": rows[:1], "two": rows[:1]}))
    assert sum("one" in line for line in both) == sum("two" in line for line in both) == 2


def test_the_page_has_them_too_and_nothing_where_there_is_no_score() -> None:
    page = channel_section(scores([row("operator", [0.1, 0.2], channels=CHANNELS)]))
    assert page is not None and "&lt;v&gt;" in page and "50,000" in page
    assert channel_section(scores([row("operator", [0.1, 0.2], error="not finite")])) is None
