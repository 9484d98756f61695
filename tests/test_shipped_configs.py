"""The configs that are shipped: each one is a config."""

from pathlib import Path

import pytest

from ups.config import load_config

SHIPPED = sorted((Path(__file__).parents[1] / "configs").glob("*.yaml"))


def test_there_are_configs() -> None:
    assert SHIPPED


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_config_is_accepted(path: Path) -> None:
    assert load_config(path).run.dir == Path("runs") / path.stem
