"""The ledger in the terminal: every row on one line of 80 columns, with all that it says."""

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from tests.records import row, scores
from ups.evaluation.ledger import ledger_entries
from ups.evaluation.row import Row
from ups.report.ledger import ledger_table
from ups.report.numbers import duration, short, short_duration


def shown(rows: list[Row]) -> tuple[list[str], str]:
    """Lines of the body of the table at 80 columns, and the caption in one line."""
    console = Console(width=80, record=True, file=StringIO())
    table = ledger_table(scores(rows))
    assert isinstance(table, Table)
    console.print(table)
    lines = console.export_text().splitlines()
    rule = next(i for i, line in enumerate(lines) if set(line) == {"─"})
    return lines[rule + 1 : rule + 1 + len(rows)], " ".join(" ".join(lines[rule + 1 + len(rows) :]).split())


def noisy(scale: float, spread: float) -> list[float]:
    return [scale * (1 + spread * (-1) ** i) for i in range(4)]


WORST = [
    row("persistence", noisy(1.234e-5, 0.0), role="baseline", nfe_per_step=0.0, ms_per_step=0.0, train_seconds=0.0),
    row("autoencoder", noisy(4.39e-3, 0.1), role="floor", ms_per_step=123.4, train_seconds=119.4),
    row("operator (latent space)", noisy(3.3e-5, 0.02), built_on="persistence", ms_per_step=9876.5, train_seconds=4e5),
    row("operator (field space)", noisy(1.2e-4, 0.7), built_on="persistence", train_seconds=5900.0),
    row(
        "consistency@16", noisy(1.23456, 0.5), built_on="operator", members=64, nfe_per_step=129.0, train_seconds=3.4e4
    ),
    row("diffusion@128", noisy(123456.0, 0.1), members=64, nfe_per_step=1024.5, ms_per_step=0.0123),
    row("true ensemble", noisy(9.99e9, 0.1), role="truth", members=64),
    row("a name that no stage of the stack has", noisy(1e-12, 0.9), ms_per_step=0.5),
    row("[red]broken[/]", noisy(1.0, 0.0), error="the rollout of [red]broken[/] is not finite"),
]


def test_every_row_is_one_line_of_80_columns_with_the_longest_names_and_numbers() -> None:
    lines, caption = shown(WORST)
    names = ["persistence", "autoencoder", "operator latent", "operator field", "consistency@16", "diffusion@128"]
    names += ["true ensemble", "a name that n..", "[red]broken[/]"]
    assert [line[:15].rstrip() for line in lines] == names
    assert all(len(line) <= 80 and "…" not in line for line in lines)
    assert lines[2].split()[2:] == ["3.3e-5", "3.3e-5", "3.3e-5", "-", "1", "9876", "111h", "-167", "[-173,-162]", "no"]
    assert "In full: a name that n.. a name that no stage of the stack has." in caption
    assert "No score: the rollout of [red]broken[/] is not finite." in caption


def test_a_line_holds_scores_costs_gain_and_verdict() -> None:
    rows = [
        row("persistence", [1.0, 1.1, 0.9, 1.0], role="baseline"),
        row("operator", [0.5, 0.56, 0.44, 0.5], built_on="persistence"),
        row("crps", [0.5, 0.5, 0.5, 0.5], members=8, built_on="operator", nfe_per_step=2.0, ms_per_step=1.25),
    ]
    lines, caption = shown(rows)
    assert lines[0].split() == ["persistence", "1", "1", "1", "-", "1", "0.5", "10m", "-", "-"]
    assert lines[1].split()[:9] == ["operator", "0.500", "0.500", "0.500", "-", "1", "0.5", "10m", "+50"] and lines[
        1
    ].endswith("yes ")
    assert lines[2].split()[:8] == ["crps", "0.500", "0.500", "0.500", "1.00", "2", "1.25", "10m"] and lines[
        2
    ].rstrip().endswith("?")
    assert "Gains are on persistence: operator; on operator: crps." in caption
    assert "nRMSE of one member: crps 0.500." in caption


def test_losses_beyond_999_per_cent_are_said_to_be_that() -> None:
    lines, _ = shown([row("persistence", noisy(1.0, 0.1)), row("operator", noisy(50.0, 0.1), built_on="persistence")])
    assert lines[1].split()[-2:] == ["<-999", "no"]


def test_the_example_in_the_guide_compares_what_is_compared() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text()
    _, example, _ = guide[guide.index("This is the ledger") :].split("```", 2)
    assert all(len(line) <= 80 for line in example.splitlines())
    names = ["persistence", "autoencoder", "operator (latent space)", "operator"]
    shown_names = [line[:15].rstrip() for line in example.splitlines()[3:7]]
    assert shown_names == [name.replace(" (latent space)", " latent") for name in names]
    roles = {"persistence": "baseline", "autoencoder": "floor"}
    rows = [
        row(n, [1.0, 2.0], role=roles.get(n, "model"), built_on=None if n in roles else "persistence") for n in names
    ]
    compared = [entry.model for entry in ledger_entries(rows) if entry.against == "persistence"]
    assert f"Gains are on persistence: {', '.join(compared)}." in " ".join(example.split())


@pytest.mark.parametrize(("seconds", "text"), [(5, "5 s"), (600, "10 min"), (10800, "3.0 h")])
def test_durations_read_well(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (119, "119s"), (600, "10m"), (5969, "99m"), (7000, "1.9h"), (3.6e6, "1000h")]
)
def test_short_durations_have_no_more_than_five_characters(seconds: float, text: str) -> None:
    assert short_duration(seconds) == text and len(text) <= 5


@pytest.mark.parametrize("exponent", range(-9, 12))
@pytest.mark.parametrize("mantissa", [1.0, 1.2345, 9.96, 5.0])
@pytest.mark.parametrize("width", [4, 6])
def test_short_numbers_fit_and_are_the_number(mantissa: float, exponent: int, width: int) -> None:
    value = mantissa * 10**exponent
    text = short(value, width)
    assert len(text) <= width
    assert float(text) == pytest.approx(value, rel=0.051 if width == 6 else 0.6)
