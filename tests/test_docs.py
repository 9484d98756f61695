"""What the guides name is there, and what is there is named."""

import pkgutil
import re
from pathlib import Path

import pytest
import typer.main

from ups.cli import app

ROOT = Path(__file__).parents[1]
API = re.findall(r"^::: (\S+)", (ROOT / "docs" / "api.md").read_text(), re.MULTILINE)


def commands() -> set[str]:
    """Names of all commands, those of `ups data` with both words."""
    found = set()
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        found |= {f"{name} {sub}" for sub in getattr(command, "commands", {})} or {name}
    return found


def test_the_start_page_lists_every_command_and_script() -> None:
    page = (ROOT / "docs" / "index.md").read_text()
    table = page[page.index("## Commands") : page.index("## In Python")]
    assert set(re.findall(r"^\| `ups ((?:data )?[a-z]+)", table, re.MULTILINE)) == commands()
    scripts = {f"scripts/{path.name}" for path in ROOT.glob("scripts/*.py")}
    assert set(re.findall(r"`python (scripts/\w+\.py)", table)) == scripts


def test_the_readme_names_every_guide() -> None:
    readme = (ROOT / "README.md").read_text()
    reference = {"index.md", "api.md", "config.md", "contributing.md"}
    assert all(f"docs/{p.name}" in readme for p in ROOT.glob("docs/*.md") if p.name not in reference)


@pytest.mark.parametrize("name", API)
def test_the_python_reference_names_what_can_be_imported_and_is_documented(name: str) -> None:
    assert pkgutil.resolve_name(name).__doc__
