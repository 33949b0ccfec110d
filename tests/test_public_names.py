"""The names of `handful` are these, they are all there, and asking for none of them loads nothing heavy."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import handful

NAMES = [
    "__version__",
    "Arm",
    "Augmentation",
    "BestSSIM",
    "CNN",
    "HandfulClassifier",
    "HandfulError",
    "Interpolation",
    "LabeledImages",
    "Protocol",
    "Result",
    "Source",
    "Study",
    "Training",
    "VAE",
    "View",
    "evaluate",
    "load",
    "load_classifier",
    "load_generator",
    "measure_sets",
    "open_source",
    "read_study",
    "run",
]


def test_the_public_names_are_these() -> None:
    assert sorted(handful.__all__) == sorted(NAMES)
    assert sorted(dir(handful)) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_each_name_is_there_and_comes_from_where_it_is_defined(name: str) -> None:
    found = getattr(handful, name)
    if name != "__version__":
        assert found.__name__ == name
        assert found.__module__ == handful._WHERE[name]


def test_an_unknown_name_is_an_attribute_error_that_lists_them() -> None:
    with pytest.raises(AttributeError, match=r"module 'handful' has no attribute 'Studdy'; it has __version__, Arm, "):
        _ = handful.Studdy
    assert not hasattr(handful, "cli_")


def test_type_checkers_see_the_same_names() -> None:
    tree = ast.parse(Path(handful.__file__).read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    seen = {}
    for node in block.body:
        assert isinstance(node, ast.ImportFrom)
        for alias in node.names:
            assert alias.asname == alias.name, "a re-export is written `X as X`"
            seen[alias.name] = node.module
    assert seen == handful._WHERE


def test_importing_it_loads_nothing_heavy() -> None:
    code = (
        "import sys, handful; dir(handful); handful.HandfulError; print(*sorted({name.partition('.')[0] for name in "
        "sys.modules} & {'torch', 'torchvision', 'numpy', 'sklearn', 'scipy', 'matplotlib', 'pydantic', 'PIL'}))"
    )
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert made.stdout.strip() == ""
