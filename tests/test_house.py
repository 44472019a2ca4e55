"""Rules of the package's structure, as CONTRIBUTING.md states them."""

import ast
import re
from collections import defaultdict
from pathlib import Path

import pytest

from alupdate.laplace import names
from alupdate.utils.metrics import METRICS

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "alupdate"
FILES = sorted(PACKAGE.rglob("*.py"))
LEAST, MOST, LONGEST_FUNCTION, MOST_IN_UTILS = 40, 500, 40, 8
SHORT = {"laplace/names.py", "sweep/preload.py"}
"""Files that are short on purpose: names without PyTorch, and the imports of a fork server."""


def parsed(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def place(path):
    return str(path.relative_to(PACKAGE))


def public_names(tree):
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id


def test_no_public_name_is_defined_twice():
    found = defaultdict(list)
    for path in FILES:
        if path.name == "__init__.py":
            continue
        for name in public_names(parsed(path)):
            if not name.startswith("_") and name != "log":
                found[name].append(place(path))
    assert {name: places for name, places in found.items() if len(places) > 1} == {}


@pytest.mark.parametrize("path", [p for p in FILES if p.name != "__init__.py"], ids=place)
def test_a_file_answers_one_question(path):
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= MOST
    if place(path) not in SHORT and path.parent.name != "utils":
        assert lines >= LEAST


def code_lines(function):
    """Lines of a function from its name on, without its docstring."""
    first = function.body[0]
    documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    docstring = first.end_lineno - first.lineno + 1 if documented else 0
    return function.end_lineno - function.lineno + 1 - docstring


def test_functions_are_short():
    long = {
        f"{place(path)}:{node.name}": code_lines(node)
        for path in FILES
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.FunctionDef) and code_lines(node) > LONGEST_FUNCTION
    }
    assert long == {}


def test_utils_holds_little_and_each_file_serves_several_rooms():
    files = [path for path in FILES if path.parent.name == "utils" and path.stem != "__init__"]
    assert len(files) <= MOST_IN_UTILS
    for path in files:
        users = {
            place(other).partition("/")[0]
            for other in FILES
            if f"alupdate.utils.{path.stem}" in other.read_text(encoding="utf-8")
        }
        assert len(users - {"utils"}) > 1, path.name


def literals(path):
    """String constants that are no docstrings, keys of f-strings included."""
    tree = parsed(path)
    docs = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield node.value


@pytest.mark.parametrize(
    ("words", "home"),
    [
        ([metric.name for metric in METRICS], {"utils/metrics.py", "laplace/names.py"}),
        (names.UPDATES, {"laplace/names.py"}),
        (names.LIKELIHOODS, {"laplace/names.py"}),
    ],
    ids=["metrics", "updates", "likelihoods"],
)
def test_names_are_literals_in_one_file(words, home):
    elsewhere = {
        (place(path), value)
        for path in FILES
        if place(path) not in home
        for value in literals(path)
        if value in words
    }
    assert elsewhere == set()


def test_no_docstring_only_points_elsewhere():
    for path in FILES:
        assert not re.search(r'"""See ``', path.read_text(encoding="utf-8")), place(path)


def test_packages_say_what_they_hold():
    for path in FILES:
        assert ast.get_docstring(parsed(path)), place(path)
