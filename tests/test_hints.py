"""Advice that nobody has ever seen given is advice on trust: each `hint=` is listed with the test that makes it."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.support.hints import MADE_BY, OWED

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT / "layers" / "shared" / "nightshift"
NO_ERRORS = ("slack/english.py", "slack/korean.py", "cli/views/")
"""A caption, and renderings of hints that others give."""
MOST_OWED = 124


def hints_of(source: str, name: str) -> Iterator[str]:
    """`module:function` of each call with a `hint=`, numbered from the second of a function on."""
    count: Counter[str] = Counter()

    def walk(node: ast.AST, names: tuple[str, ...]) -> Iterator[str]:
        for child in ast.iter_child_nodes(node):
            is_named = isinstance(child, ast.FunctionDef | ast.ClassDef)
            inner = (*names, child.name) if is_named else names
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
    assert sorted(there - set(MADE_BY) - set(OWED)) == [], "name the test that makes it, in tests/support/hints.py"
    assert sorted((set(MADE_BY) | set(OWED)) - there) == [], "gone, or elsewhere by now"
    assert set(MADE_BY) & set(OWED) == set()


def test_no_new_one_is_owed() -> None:
    assert len(OWED) <= MOST_OWED


def test_the_tests_that_are_named_exist() -> None:
    missing = []
    for test in set(MADE_BY.values()):
        path, _, function = test.partition("::")
        names = {
            node.name
            for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8")))
            if isinstance(node, ast.FunctionDef)
        }
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
