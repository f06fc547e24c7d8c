"""Advice that nobody has ever seen given is advice on trust: each `hint=` is listed with the test that makes it."""

from __future__ import annotations

import ast
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT / "layers" / "shared" / "nightshift"
_LISTED = json.loads((ROOT / "tests" / "hints.json").read_text(encoding="utf-8"))
MADE_BY: dict[str, str] = _LISTED["made_by"]
"""`module:function`, with `#2` for its second hint: a test whose error, or answer, has that hint."""
OWED: list[str] = _LISTED["owed"]
"""Those of which nobody has said yet which test makes them. The list only ever gets shorter."""
NO_ERRORS = ("slack/english.py", "slack/korean.py", "cli/views/")
"""A caption, and renderings of hints that others give."""
MOST_OWED = 124


def hints_of(source: str, name: str) -> Iterator[str]:
    """`module:function` of each call with a `hint=`, numbered from the second of a function on."""
    count: Counter[str] = Counter()

    def walk(node: ast.AST, names: tuple[str, ...]) -> Iterator[str]:
        for child in ast.iter_child_nodes(node):
            inner = (*names, child.name) if isinstance(child, ast.FunctionDef | ast.ClassDef) else names
            if isinstance(child, ast.Call) and any(keyword.arg == "hint" for keyword in child.keywords):
                place = f"{name}:{'.'.join(inner) or '<module>'}"
                count[place] += 1
                yield place if count[place] == 1 else f"{place}#{count[place]}"
            yield from walk(child, inner)

    yield from walk(ast.parse(source), ())


def all_hints() -> set[str]:
    """Those of all that is shipped."""
    paths = [(path, str(path.relative_to(SHARED))) for path in SHARED.rglob("*.py")]
    paths += [(path, str(path.relative_to(ROOT))) for path in (ROOT / "functions").rglob("*.py")]
    shipped = [(path, name) for path, name in paths if not name.startswith(NO_ERRORS)]
    return {hint for path, name in shipped for hint in hints_of(path.read_text(encoding="utf-8"), name)}


def test_each_hint_is_listed() -> None:
    there = all_hints()
    assert sorted(there - set(MADE_BY) - set(OWED)) == [], "name the test that makes it, in tests/hints.json"
    assert sorted((set(MADE_BY) | set(OWED)) - there) == [], "gone, or elsewhere by now"
    assert set(MADE_BY) & set(OWED) == set()


def test_no_new_one_is_owed() -> None:
    assert len(OWED) <= MOST_OWED


def test_the_tests_that_are_named_exist() -> None:
    missing = []
    for test in set(MADE_BY.values()):
        path, _, function = test.partition("::")
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        missing += [] if function in names else [test]
    assert missing == []


def test_the_reader_of_hints_misses_none() -> None:
    source = """
raise E("a", hint="x")
class C:
    def f(self):
        raise E("a", hint="x") if self else E("b", detail=g(hint=None))
"""
    assert list(hints_of(source, "m.py")) == ["m.py:<module>", "m.py:C.f", "m.py:C.f#2"]
