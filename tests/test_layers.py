"""Modules import only from rows above their own, also inside functions; the rooms of row 1 never import each other,
but `data` asks `simulate` for a missing file."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "ups"

ROWS: dict[str, int] = {
    "ups.core": 0,
    "ups.metrics": 0,
    "ups.data": 1,
    "ups.simulate": 1,
    "ups.models": 1,
    "ups.training": 1,
    "ups.tracking": 1,
    "ups.surrogate": 2,
    "ups.utils": 2,
    "ups.peers": 2,
    "ups.stages": 3,
    "ups.evaluation": 3,
    "ups.ttc": 3,
    "ups.report": 4,
    "ups.config": 4,
    "ups.run": 5,
    "ups.orchestrate": 6,
    "ups.cli": 7,
    "ups.__main__": 7,
    "scripts": 7,
}


ASKED = ("ups.data.locate", "ups.data.settings"), "ups.simulate.generate"
"""Where `data` asks for a missing file, and the settings of the question."""


def part_of(module: str) -> str:
    """The longest entry of `ROWS` that `module` lies in."""
    found = [part for part in ROWS if module == part or module.startswith(part + ".")]
    assert found, f"{module} is in no row of the table"
    return max(found, key=len)


def module_name(path: Path) -> str:
    """`src/ups/data/fields.py` -> `ups.core.system`."""
    base = PACKAGE.parent if PACKAGE in path.parents else ROOT
    parts = path.relative_to(base).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> set[str]:
    """Modules of the package that a file imports at its top or inside functions, but not for type checking alone."""
    return _imports(_without_type_checking(ast.parse(path.read_text())), path)


def _imports(tree: ast.AST, path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {_imported(node.module or "", alias.name) for alias in node.names}
    return {name for name in found if name == "ups" or name.startswith("ups.")}


def _without_type_checking(tree: ast.Module) -> ast.Module:
    class Remove(ast.NodeTransformer):
        def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
            if ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
                return [self.visit(statement) for statement in node.orelse]
            return self.generic_visit(node)

    return Remove().visit(tree)


def _imported(module: str, name: str) -> str:
    """`from ups.core import system` imports the module `ups.core.system`, `from ups.core.system import System` too."""
    inner = PACKAGE.parent / Path(*module.split("."), name)
    return f"{module}.{name}" if inner.is_dir() or inner.with_suffix(".py").exists() else module


def violation(module: str, imported: str) -> str | None:
    """Why `module` must not import `imported`, or None if it may."""
    if imported == "ups":
        allowed = ROWS[part_of(module)] > 2
        return None if allowed else f"{module} imports the package itself"
    own, other = part_of(module), part_of(imported)
    if module in ASKED[0] and imported == ASKED[1]:
        return None
    if own == other or ROWS[other] < ROWS[own]:
        return None
    row = f"row {ROWS[own]}"
    if ROWS[other] == ROWS[own]:
        return None if ROWS[own] != 1 else f"{module} ({row}) imports {imported} of the same row"
    return f"{module} ({row}) imports {imported} (row {ROWS[other]})"


MODULES = sorted([*PACKAGE.rglob("*.py"), *(ROOT / "scripts").glob("*.py")])


@pytest.mark.parametrize("path", [p for p in MODULES if module_name(p) != "ups"], ids=module_name)
def test_a_module_imports_only_from_rows_above_its_own(path: Path) -> None:
    module = module_name(path)
    problems = [problem for name in sorted(imports(path)) if (problem := violation(module, name))]
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        ("ups.core.attention", "ups.data.dataset"),
        ("ups.core.system", "ups.data.dataset"),
        ("ups.training.loop", "ups.models.autoencoder"),
        ("ups.models.autoencoder", "ups.data.dataset"),
        ("ups.tracking.jsonl", "ups.training.loop"),
        ("ups.stages.operator", "ups.config"),
        ("ups.run.train", "ups.cli.runs"),
        ("ups.training.loop", "ups"),
    ],
)
def test_the_table_forbids(module: str, imported: str) -> None:
    assert violation(module, imported)


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        ("ups.models.autoencoder", "ups.core.system"),
        ("ups.models.autoencoder", "ups.models.latent_operator"),
        ("ups.core.system", "ups.core.errors"),
        ("ups.stages.operator", "ups.training.loop"),
        ("ups.cli.runs", "ups.run.train"),
        ("ups.cli.results", "ups"),
    ],
)
def test_the_table_allows(module: str, imported: str) -> None:
    assert violation(module, imported) is None


def test_imports_inside_functions_count_and_imports_for_types_do_not(tmp_path: Path) -> None:
    file = tmp_path / "module.py"
    file.write_text(
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from ups.data.dataset import Dataset\n"
        "def f():\n    from ups.config import load_config\n    import ups.run.train\n    from ups.core import system\n"
    )
    assert imports(file) == {"ups.config", "ups.run.train", "ups.core.system"}


GRAPH = {module_name(path): {name for name in imports(path) if name != module_name(path)} for path in MODULES}
"""What every module imports, also inside functions."""
LONGEST = 18
"""Imports that loading any module may start, one after the other."""


def loaded(path: Path) -> set[str]:
    """Modules of the package that are loaded with a file: what it imports outside of functions."""

    class Remove(ast.NodeTransformer):
        def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
            return None

    return _imports(Remove().visit(_without_type_checking(ast.parse(path.read_text()))), path)


def longest(graph: dict[str, set[str]]) -> list[str]:
    """The longest chain of modules, each importing the next. Raises AssertionError for a cycle."""
    found: dict[str, list[str]] = {}

    def below(module: str, above: tuple[str, ...]) -> list[str]:
        assert module not in above, f"a cycle of imports: {' > '.join((*above[above.index(module) :], module))}"
        if module not in found:
            chains = [below(name, (*above, module)) for name in sorted(graph.get(module, ()))]
            found[module] = [module, *max(chains, key=len, default=[])]
        return found[module]

    return max((below(module, ()) for module in graph), key=len)


def test_no_imports_run_in_a_circle() -> None:
    longest(GRAPH)


def test_a_circle_is_found() -> None:
    with pytest.raises(AssertionError, match="a cycle of imports: b > c > b"):
        longest({"a": {"b"}, "b": {"c"}, "c": {"b"}})


def test_the_longest_chain_of_imports_has_no_more_than_18() -> None:
    chain = longest({module_name(path): loaded(path) - {module_name(path)} for path in MODULES})
    assert len(chain) - 1 <= LONGEST, f"{len(chain) - 1} imports: {' > '.join(chain)}"


TOLD = ("ups.ttc", "ups.config", "ups.cli", "ups.run", "ups.report", "ups.tracking", "ups.orchestrate")
"""Who may mention test-time conditioning."""


@pytest.mark.parametrize("path", PACKAGE.rglob("*.py"), ids=module_name)
def test_test_time_conditioning_is_mentioned_where_it_is_at_home_or_shown(path: Path) -> None:
    mentioned = re.findall(r"\bttc|test-time conditioning", path.read_text(), re.IGNORECASE)
    assert not mentioned or module_name(path).startswith(TOLD)
