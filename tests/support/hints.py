"""Reads the hints of the product and the strings of a test, so that the ones can be looked for in the others."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT / "layers" / "shared" / "nightshift"
NO_ERRORS = ("slack/phrases/",)
"""Captions."""
WORDS = 4
"""As many words in a row tell one hint from the others; of a shorter hint, all of its words."""

Names = dict[str, list[ast.AST]]
"""The values that a module or a function assigns to each name, its functions and its classes."""


@dataclass(frozen=True, eq=False)
class Module:
    """A module of the product, or a test file."""

    tree: ast.Module

    @cached_property
    def names(self) -> Names:
        return names_of(self.tree)

    @cached_property
    def imports(self) -> dict[str, tuple[Path, str]]:
        """Names that it takes from other modules of the product: where they stand, and what they are called there."""
        found: dict[str, tuple[Path, str]] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("nightshift."):
                folder = SHARED.joinpath(*(node.module or "").split(".")[1:])
                path = folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")
                found |= {one.asname or one.name: (path, one.name) for one in node.names if path.exists()}
        return found

    @cached_property
    def constants(self) -> set[str]:
        return {name for name in (*self.names, *self.imports) if name.isupper()}

    def hint_position(self, name: str) -> int | None:
        """Which argument of a function or class is its `hint`; None where it has none."""
        if name in self.imports and name not in self.names:
            path, there = self.imports[name]
            return module_of(path).hint_position(there)
        return next((at for node in self.names.get(name, []) if (at := _hint_position(node)) is not None), None)

    def text_values(self, node: ast.AST, local: Names, seen: frozenset[int] = frozenset()) -> list[str]:
        """The texts that an expression is made of: its own, and those of constants and functions that it names."""
        if id(node) in seen or is_class(node):
            return []
        seen |= {id(node)}
        if isinstance(node, ast.Constant):
            return [" ".join(node.value.split())] if isinstance(node.value, str) and node.value.strip() else []
        if isinstance(node, ast.FunctionDef):
            ends = [one for one in statements_of(node) if isinstance(one, ast.Return)]
            return [text for one in ends for text in self.text_values(one, names_of(node), seen)]
        if isinstance(node, ast.Name) and node.id in self.imports and node.id not in local:
            path, name = self.imports[node.id]
            there = module_of(path)
            return [text for one in there.names.get(name, []) for text in there.text_values(one, {}, seen)]
        parts = list(ast.iter_child_nodes(node))
        if isinstance(node, ast.Name):
            parts = local.get(node.id) or self.names.get(node.id, [])
        elif isinstance(node, ast.IfExp):
            parts = [node.body, node.orelse]
        elif isinstance(node, ast.JoinedStr):  # values that it shows are data, but for constants and choices of words
            shown = [one.value if isinstance(one, ast.FormattedValue) else one for one in node.values]
            words = ast.Constant | ast.IfExp
            known = {name for name, values in local.items() if all(isinstance(one, ast.Constant) for one in values)}
            parts = [one for one in shown if isinstance(one, words) or getattr(one, "id", "") in known | self.constants]
        elif isinstance(node, ast.Compare):
            parts = []
        return [text for part in parts for text in self.text_values(part, local, seen)]


def _hint_position(node: ast.AST) -> int | None:
    names: list[str] = []
    if isinstance(node, ast.FunctionDef):
        names = [one.arg for one in (*node.args.posonlyargs, *node.args.args)]
    elif isinstance(node, ast.ClassDef):
        maker = next((one for one in node.body if isinstance(one, ast.FunctionDef) and one.name == "__init__"), None)
        names = [
            one.target.id for one in node.body if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name)
        ]
        names = [one.arg for one in maker.args.args[1:]] if maker else names
    return names.index("hint") if "hint" in names else None


def is_class(node: ast.AST) -> bool:
    return isinstance(node, ast.ClassDef)


@cache
def module_of(path: Path) -> Module:
    return Module(ast.parse(path.read_text(encoding="utf-8")))


def statements_of(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes below, but none of functions and classes within."""
    for child in ast.iter_child_nodes(node):
        yield child
        if not isinstance(child, ast.FunctionDef | ast.ClassDef | ast.Lambda):
            yield from statements_of(child)


def names_of(node: ast.AST) -> Names:
    found: Names = {}
    for child in statements_of(node):
        if isinstance(child, ast.FunctionDef | ast.ClassDef):
            found.setdefault(child.name, []).append(child)
        elif isinstance(child, ast.Assign):
            for one in (one for target in child.targets for one in ast.walk(target)):
                if isinstance(one, ast.Name):
                    found.setdefault(one.id, []).append(child.value)
        elif isinstance(child, ast.AnnAssign | ast.NamedExpr) and isinstance(child.target, ast.Name) and child.value:
            found.setdefault(child.target.id, []).append(child.value)
    return found


@dataclass
class Reader:
    """Finds the hints of one module."""

    module: Module
    name: str
    count: Counter[str] = field(default_factory=Counter)

    def hints(self) -> Iterator[tuple[str, list[str]]]:
        """`module:function` of each call that is given a hint, numbered from the second of it on, and the texts.

        By name, by position or by assignment to an error; what only hands on another's hint is none.
        """
        return self._below(self.module.tree, (), {})

    def _below(self, node: ast.AST, names: tuple[str, ...], local: Names) -> Iterator[tuple[str, list[str]]]:
        for child in ast.iter_child_nodes(node):
            inner, known = names, local
            if isinstance(child, ast.FunctionDef | ast.ClassDef):
                inner, known = (*names, child.name), local | names_of(child)
            given = self._given(child) if isinstance(child, ast.Call) else None
            if isinstance(child, ast.Assign) and any(getattr(one, "attr", "") == "hint" for one in child.targets):
                given = child.value
            if given is not None and not is_handed_on(given, local):
                place = f"{self.name}:{'.'.join(inner) or '<module>'}"
                self.count[place] += 1
                number = "" if self.count[place] == 1 else f"#{self.count[place]}"
                yield place + number, self.module.text_values(given, local)
            yield from self._below(child, inner, known)

    def _given(self, call: ast.Call) -> ast.AST | None:
        named = next((one.value for one in call.keywords if one.arg == "hint"), None)
        at = self.module.hint_position(call.func.id) if isinstance(call.func, ast.Name) else None
        return named or (call.args[at] if at is not None and at < len(call.args) else None)


def is_handed_on(node: ast.AST, local: Names) -> bool:
    """Returns whether a hint is the caller's own parameter, or that of another error or refusal, and no text beside."""
    parts = node.values if isinstance(node, ast.BoolOp) else [node]
    return all(
        (isinstance(one, ast.Name) and one.id == "hint" and "hint" not in local)
        or (isinstance(one, ast.Attribute) and one.attr == "hint")
        or (isinstance(one, ast.Constant) and not one.value)
        for one in parts
    )


@cache
def all_hints() -> dict[str, list[str]]:
    """Those of all that is shipped."""
    paths = [(path, str(path.relative_to(SHARED))) for path in SHARED.rglob("*.py")]
    paths += [(path, str(path.relative_to(ROOT))) for path in (ROOT / "functions").rglob("*.py")]
    readers = [Reader(module_of(path), name) for path, name in paths if not name.startswith(NO_ERRORS)]
    return {hint: texts for reader in readers for hint, texts in reader.hints()}


def words_of_test(module: Module, function: str) -> str:
    """The strings of a test, its parametrisation, and of constants and functions of its file that it names."""
    done: set[str] = set()
    found, due = [], [function]
    while due:
        name = due.pop()
        if name in done:
            continue
        done.add(name)
        for node in module.names.get(name, []):
            docstrings = {id(one.value) for one in ast.walk(node) if isinstance(one, ast.Expr)}
            for one in ast.walk(node):
                if isinstance(one, ast.Constant) and isinstance(one.value, str) and id(one) not in docstrings:
                    found.append(" ".join(one.value.replace("\\", "").split()))
                elif isinstance(one, ast.Name):
                    due.append(one.id)
                elif isinstance(one, ast.arg):
                    due.append(one.arg)
    return "\n".join(found)


def is_told_apart(texts: list[str], others: list[str], said: str) -> bool:
    """Returns whether a test says words in a row of a hint's texts that no other hint has."""
    lengths = [len(text.split()) for text in texts]
    enough = next((least for least in (WORDS, 2, 1) if max(lengths, default=0) >= least), 0)
    whole = [text for text, length in zip(texts, lengths, strict=True) if length >= enough]
    runs = {run for text in whole for run in _runs(text)}
    return any(run in said and not any(run in other for other in others) for run in runs)


def _runs(text: str) -> list[str]:
    words = text.split()
    runs = [" ".join(words[at : at + WORDS]) for at in range(max(1, len(words) - WORDS + 1))]
    return [run.strip(",;:.") for run in runs]
