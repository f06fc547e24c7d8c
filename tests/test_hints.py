"""Advice that nobody has ever seen given is advice on trust: each `hint=` is listed with the test that makes it."""

from __future__ import annotations

import ast
import json

from tests.support.hints import ROOT, Module, Reader, all_hints, is_told_apart, module_of, words_of_test

_LISTED = json.loads((ROOT / "tests" / "hints.json").read_text(encoding="utf-8"))
MADE_BY: dict[str, str] = _LISTED["made_by"]
"""`module:function`, with `#2` for its second hint: a test whose error, or answer, has that hint, and that says so."""
COMPUTED: dict[str, str] = _LISTED["computed"]
"""Those of `made_by` whose test cannot have their words: why."""
MOST_COMPUTED = 1


def test_each_hint_is_listed() -> None:
    there = set(all_hints())
    assert sorted(there - set(MADE_BY)) == [], "name the test that makes it, in tests/hints.json"
    assert sorted(set(MADE_BY) - there) == [], "gone, or elsewhere by now"
    assert len(COMPUTED) <= MOST_COMPUTED


def test_the_tests_that_are_named_exist() -> None:
    missing = []
    for test in set(MADE_BY.values()):
        path, _, function = test.partition("::")
        names = {node.name for node in module_of(ROOT / path).tree.body if isinstance(node, ast.FunctionDef)}
        missing += [] if function in names else [test]
    assert missing == []


def unasserted() -> list[str]:
    """Hints that have no words in the test that is named for them which would tell them from the others."""
    hints = all_hints()
    found = []
    for hint, test in MADE_BY.items():
        path, _, function = test.partition("::")
        others = [text for texts in hints.values() for text in texts if text not in hints[hint]]
        if not is_told_apart(hints[hint], others, words_of_test(module_of(ROOT / path), function)):
            found.append(hint)
    return sorted(found)


def test_the_test_that_is_named_has_the_hints_own_words() -> None:
    assert unasserted() == sorted(COMPUTED), "assert the hint where the error is made; `computed` is for no others"


def test_the_reader_of_hints_misses_none() -> None:
    source = """
WAY = "by " "foot"
raise E("a", hint="x")
class C:
    def f(self):
        known = f"{self} of us"
        raise E("a", hint=known) if self else E("b", detail=g(hint=self), hint=self.a or WAY if "no" else "z")
def refused(message, hint):
    raise E(message, hint=hint)
class Refused:
    def __init__(self, hint): super().__init__(refusal(hint=hint or ""))
def check():
    refused("c", "by position")
    raise Refused(WAY) or E("d", hint=other.hint)
def late(error):
    error.hint = error.hint or WAY
"""
    assert list(Reader(Module(ast.parse(source)), "m.py").hints()) == [
        ("m.py:<module>", ["x"]),
        ("m.py:C.f", ["of us"]),
        ("m.py:C.f#2", ["by foot", "z"]),
        ("m.py:C.f#3", []),
        ("m.py:check", ["by position"]),
        ("m.py:check#2", ["by foot"]),
        ("m.py:late", ["by foot"]),
    ]


def test_words_that_others_have_too_tell_nothing() -> None:
    source = '''
CASES = [("the server", "look at its log first")]
def check(said): assert "restart it" in said
def other(): assert "far from here indeed"
@parametrize("case", CASES)
def test_it(case):
    """Never read this one."""
    check(case)
'''
    said = words_of_test(Module(ast.parse(source)), "test_it")
    assert is_told_apart(["please look at its log"], ["see that it runs"], said)
    assert is_told_apart(["restart it"], [], said)
    assert not is_told_apart(["please look at its log"], ["look at its log, and at", "please look at"], said)
    assert not is_told_apart(["far from here indeed"], [], said)
    assert not is_told_apart(["Never read this one."], [], said)
    assert not is_told_apart([], [], said)
