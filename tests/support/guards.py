"""Reads from the source which guards the product can refuse by."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT / "layers" / "shared" / "nightshift"
PRODUCT = (SHARED, ROOT / "functions")
REFUSING = {"make_refusal", "_no", "GuardRefused", "GuardRefusal"}
"""Functions and classes that take a guard's name, by keyword or as the first argument."""


def guards_of(package: str) -> set[str]:
    """The names of the guards that refuse in a package of `nightshift`, or in functions of `guards` that it calls."""
    paths = list((SHARED / package).glob("*.py"))
    calls = {
        ast.unparse(node.func)
        for path in paths
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
    }
    shared = SHARED / "guards.py"
    refusals = _refusals(ast.parse(shared.read_text(encoding="utf-8")), "")
    called = [(scope, call) for scope, call in refusals if isinstance(scope, ast.FunctionDef) and scope.name in calls]
    guards = {guard for scope, call in called for guard in _names(shared, scope, call)}
    return guards | {guard for path in paths for guard in guards_in(path)}


def all_guards() -> set[str]:
    return {guard for folder in PRODUCT for path in folder.rglob("*.py") for guard in guards_in(path)}


@cache
def guards_in(path: Path) -> frozenset[str]:
    module = ast.parse(path.read_text(encoding="utf-8"))
    return frozenset(guard for scope, call in _refusals(module, "") for guard in _names(path, scope, call))


def _refusals(node: ast.AST, name: str, scope: ast.AST | None = None) -> Iterator[tuple[ast.AST | None, ast.Call]]:
    """Calls that take a guard's name, each with its function; not those of the refusing functions themselves."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.ClassDef):
            if child.name not in REFUSING:
                yield from _refusals(child, child.name, child)
            continue
        if isinstance(child, ast.Call) and ast.unparse(child.func).rpartition(".")[2] in REFUSING:
            yield scope, child
        yield from _refusals(child, name, scope)


def _names(path: Path, scope: ast.AST | None, call: ast.Call) -> Iterator[str]:
    keyword = [word.value for word in call.keywords if word.arg == "guard"]
    yield from _values(path, scope, (keyword or call.args)[0])


def _values(path: Path, scope: ast.AST | None, value: ast.expr) -> Iterator[str]:
    """The names that an expression may be; another refusal's own name has been counted where that was made."""
    if isinstance(value, ast.Constant):
        yield str(value.value)
    elif isinstance(value, ast.IfExp):
        yield from _values(path, scope, value.body)
        yield from _values(path, scope, value.orelse)
    elif isinstance(value, ast.Name) and scope is not None:
        assigned = [
            node.value
            for node in ast.walk(scope)
            if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == value.id for t in node.targets)
        ]
        assert assigned, f"{path}:{value.lineno}: which guard is {value.id}?"
        for one in assigned:
            yield from _values(path, scope, one)
    else:
        assert isinstance(value, ast.Attribute) and value.attr == "guard", f"{path}:{value.lineno}: which guard?"
