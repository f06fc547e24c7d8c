"""What is left out of byte code is what nobody looks at, and nothing else."""

from __future__ import annotations

import ast
import dataclasses
import textwrap
from typing import Any

import pytest

from layers.byte_code import FIELDS_NOBODY_READS, lean

pytestmark = pytest.mark.filterwarnings("error")


def run(source: str, *, fields: bool = True) -> dict[str, Any]:
    """A module's names, made by its lean byte code."""
    tree = lean(ast.parse(textwrap.dedent(source)), fields=fields)
    names: dict[str, Any] = {"__name__": "lean_module"}
    exec(compile(tree, "lean.py", "exec", dont_inherit=True), names)
    return names


def test_no_docstring_stays_and_lines_are_what_they_were() -> None:
    names = run('''
        """A module."""

        class Empty:
            """Nothing but this."""

        class Thing:
            """A class."""

            def number(self):
                """A function."""
                "not a docstring"
                return 1

        async def nothing():
            """Nothing but this."""
    ''')
    thing = names["Thing"]
    assert [names.get("__doc__"), names["Empty"].__doc__, thing.__doc__, names["nothing"].__doc__] == [None] * 4
    assert thing.number.__doc__ is None
    assert thing().number() == 1
    assert max(line for *_, line in thing.number.__code__.co_lines() if line) == 13


def test_asserts_stay() -> None:
    with pytest.raises(AssertionError):
        run("assert False")


def test_overloads_go_where_a_function_follows() -> None:
    names = run("""
        import typing
        from typing import Protocol, overload

        @overload
        def twice(x: int) -> int: ...
        @typing.overload
        def twice(x: str) -> str: ...
        def twice(x):
            return x * 2

        class Callback(Protocol):
            @overload
            def __call__(self, x: int) -> int: ...
            @overload
            def __call__(self, x: str) -> str: ...
    """)
    import typing

    assert names["twice"]("ab") == "abab"
    assert list(typing.get_overloads(names["twice"])) == []
    assert "__call__" in vars(names["Callback"])


TYPED_DICTS = """
    import typing
    from typing import NamedTuple, TypedDict

    class One(TypedDict, total=False):
        name: str

    class Two(One):
        age: int

    class Three(typing.TypedDict):
        size: int

    class Point(NamedTuple):
        x: int
        y: int = 2
"""


def test_fields_of_typed_dicts_go_where_nobody_reads_them() -> None:
    names = run(TYPED_DICTS, fields=False)
    assert [names[name].__annotations__ for name in ("One", "Two", "Three")] == [{}, {}, {}]
    assert names["One"](name="x") == {"name": "x"}
    assert names["Point"](1) == (1, 2), "a named tuple is made of its annotations"


def test_fields_of_typed_dicts_stay_elsewhere() -> None:
    names = run(TYPED_DICTS)
    assert [list(names[name].__annotations__) for name in ("One", "Two", "Three")] == [
        ["name"],
        ["name", "age"],
        ["size"],
    ]
    assert "pydantic" not in FIELDS_NOBODY_READS


@pytest.mark.parametrize("decorator", ["dataclass", "dataclass(frozen=True)", "dataclasses.dataclass(slots=True)"])
def test_a_dataclass_is_whole_and_its_docstring_is_not_worked_out(decorator: str) -> None:
    source = (
        "import dataclasses\nfrom dataclasses import dataclass\n@{}\nclass Point:\n    {}\n    x: int\n    y: int = 2\n"
    )
    for docstring in ('"""A point."""', "", "..."):
        point = run(source.format(decorator, docstring))["Point"]
        assert point.__doc__ == "…"
        assert dataclasses.astuple(point(1)) == (1, 2)
