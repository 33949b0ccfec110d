"""Imports point one way: command line, report, study, methods, measures, data and networks, ground."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest

import handful

ROOT = Path(handful.__file__).parent
# a row may import from rows below it; packages of one row do not import each other
ROWS = (
    ("__main__",),
    ("cli",),
    ("commands",),
    ("show", "predict", "export", "submission", "onnx_file", "estimator", "synthesize"),
    ("reproduce",),
    ("report",),
    ("study",),
    ("generate", "classify"),
    ("measure",),
    ("data", "nn"),
    ("config", "rng", "errors"),
)
WITHIN_A_ROW = {
    ("planner", "compare"),
    ("scores", "calibration"),
    ("influence", "calibration"),
    ("influence", "compare"),
    ("influence", "scores"),
    ("predict", "onnx_file"),
    ("predict", "submission"),
    ("show", "synthesize"),
    ("config", "errors"),
}
LEAVES = ("scores", "calibration", "influence", "compare", "planner")
TABLES = {"CLASSIFIERS", "GENERATORS"}


def modules_of(root: Path) -> dict[str, str]:
    """Module name -> source, of every module below a package's folder."""
    found = {}
    for path in sorted(root.rglob("*.py")):
        names = [root.name, *path.relative_to(root).with_suffix("").parts]
        found[".".join(names[:-1] if names[-1] == "__init__" else names)] = path.read_text(encoding="utf-8")
    return found


parsed = cache(ast.parse)


def imports_of(modules: Mapping[str, str], name: str, *, types: bool = True, late: bool = True) -> set[str]:
    """Modules of the package that one of them imports.

    Args:
        types: also those under `if TYPE_CHECKING`.
        late: also those inside functions.
    """
    tree, found, pending = parsed(modules[name]), set[str](), []
    pending.append(tree)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test) and not types:
            pending.extend(node.orelse)
            continue
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not late:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: imports are absolute"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        pending.extend(ast.iter_child_nodes(node))
    return {module for given in found if (module := _module(modules, given)) is not None and module != name}


def _module(modules: Mapping[str, str], given: str) -> str | None:
    """The longest part of a dotted name that is a module of the package."""
    while given and given not in modules:
        given = given.rpartition(".")[0]
    return given or None


def room(module: str) -> str:
    """The package or module directly below the root that a module belongs to; '' for the root itself."""
    return [*module.split(".", 2), ""][1]


def wrong_directions(modules: Mapping[str, str]) -> list[str]:
    """Every import that goes up or sideways, and every room that has no row."""
    level = {name: place for place, row in enumerate(ROWS) for name in row}
    faults = [f"{name} has no row" for name in modules if room(name) and room(name) not in {*level, *LEAVES}]
    for name in modules:
        mine = room(name)
        if not mine or mine not in {*level, *LEAVES}:
            continue
        for other in map(room, imports_of(modules, name)):
            allowed = (
                other == mine
                or other == ""
                or (mine, other) in WITHIN_A_ROW
                or (mine not in LEAVES and (other in LEAVES or level.get(other, -1) > level[mine]))
            )
            if not allowed or (mine in LEAVES and other != mine and (mine, other) not in WITHIN_A_ROW):
                faults.append(f"{name} imports {other or 'the package itself'}")
    return faults


def cycles(modules: Mapping[str, str]) -> list[list[str]]:
    """Every set of modules that import each other when they are loaded; loading a.b loads a first."""
    edges = {
        name: imports_of(modules, name, types=False, late=False) | ({name.rpartition(".")[0]} & set(modules))
        for name in modules
    }
    reach: dict[str, set[str]] = {}
    for start in modules:
        seen, pending = set[str](), [start]
        while pending:
            new = edges[pending.pop()] - seen
            seen |= new
            pending.extend(new)
        reach[start] = seen
    return sorted({tuple(sorted(b for b in reach[a] if a in reach[b])) for a in modules if a in reach[a]})  # type: ignore[return-value]


def test_imports_point_one_way() -> None:
    assert wrong_directions(modules_of(ROOT)) == []


def test_no_module_imports_itself_by_way_of_others() -> None:
    assert cycles(modules_of(ROOT)) == []


def test_type_checking_needs_no_cycle_between_rooms() -> None:
    """Even imports for annotations alone keep the direction: `wrong_directions` counts them."""
    planted = modules_of(ROOT)
    planted["handful.errors"] += "\nif TYPE_CHECKING:\n    from handful.study.run import run\n"
    assert wrong_directions(planted) == ["handful.errors imports study"]


def test_only_stages_runs_methods_on_parts_of_a_split() -> None:
    """The order of the arrows is known in one module: nothing else in `study` loads a model, splits pictures by rows,
    or scores."""
    modules = modules_of(ROOT)
    users = {
        name
        for name in modules
        if room(name) in ("study", "report", "cli", "commands", "show", "predict", "reproduce")
        for node in ast.walk(parsed(modules[name]))
        if isinstance(node, ast.ImportFrom)
        and {alias.name for alias in node.names} & {"evaluate", "load_generator", "require_unseen", "require_real"}
    }
    draws = {"handful.reproduce.fashion_autoencoder"}  # shows what a stored autoencoder rebuilds, and scores nothing
    assert users - draws == {"handful.study.stages"}


def test_flaws_are_named_where_they_are_guarded_or_made_and_nowhere_else() -> None:
    flaws = {"copies-across-parts", "synthetic-in-val", "test-as-val", "split-per-arm"}
    modules = modules_of(ROOT)
    users = {
        name
        for name in modules
        for node in ast.walk(parsed(modules[name]))
        if isinstance(node, ast.Constant) and node.value in flaws
    }
    made = {"handful.study.protocol", "handful.study.plan", "handful.study.stages", "handful.study.parts"}
    guarded = {"handful.classify.contract"}
    studied = {name for name in users if room(name) == "reproduce"}
    assert users - studied <= made | guarded | {"handful.study.result"}
    assert made | guarded <= users


def test_torch_stays_out_of_the_ground_and_of_data_at_load() -> None:
    modules = modules_of(ROOT)
    for name in modules:
        if room(name) not in ("", "__main__", "cli", "commands", "errors", "config", "rng", *LEAVES):
            continue
        tree = parsed(modules[name])
        loaded = {
            alias.name if isinstance(node, ast.Import) else str(node.module)
            for node in tree.body
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
        }
        assert not {part for part in loaded if part.split(".")[0] in ("torch", "matplotlib")}, name


@pytest.mark.parametrize(
    ("module", "text", "fault"),
    [
        ("handful.generate.vae", "from handful.study.arms import Arm", "handful.generate.vae imports study"),
        ("handful.generate.vae", "import handful.classify.cnn", "handful.generate.vae imports classify"),
        ("handful.classify.cnn", "from handful.generate import vae", "handful.classify.cnn imports generate"),
        ("handful.nn.train", "def f():\n    from handful.data.load import load", "handful.nn.train imports data"),
        ("handful.data.load", "from handful.measure.ssim import ssim_pairs", "handful.data.load imports measure"),
        ("handful.report.page", "from handful import reproduce", None),
        ("handful.compare", "from handful.scores import SCORES", "handful.compare imports scores"),
        ("handful.scores", "from handful.errors import HandfulError", "handful.scores imports errors"),
        ("handful.study.run", "from handful.cli import app", "handful.study.run imports cli"),
        ("handful.study.run", "from handful.report.html import render", "handful.study.run imports report"),
        ("handful.errors", "from handful.config import Recipe", "handful.errors imports config"),
        ("handful.attic", "", "handful.attic has no row"),
    ],
)
def test_a_planted_import_is_found(module: str, text: str, fault: str | None) -> None:
    planted = modules_of(ROOT)
    planted[module] = planted.get(module, "") + "\n" + text
    if fault is None:
        planted.setdefault("handful.reproduce", "")
        fault = "handful.report.page imports reproduce"
    assert wrong_directions(planted) == [fault]


@pytest.mark.parametrize(
    ("module", "text", "found"),
    [
        ("handful.errors", "from handful.config import Recipe", True),
        ("handful", "from handful.config import Recipe", True),
        ("handful.data", "from handful.data.source import Source", True),
        ("handful.errors", "def f():\n    from handful.config import Recipe", False),
        ("handful.errors", "if TYPE_CHECKING:\n    from handful.config import Recipe", False),
    ],
)
def test_a_planted_cycle_is_found(module: str, text: str, found: bool) -> None:
    planted = modules_of(ROOT)
    planted[module] += "\n" + text
    assert bool(cycles(planted)) == found
