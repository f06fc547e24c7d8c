"""Byte code of a layer, by the runtime's own Python: `python3.13 byte_code.py FOLDER SITE SITE_ON_LAMBDA BUNDLE`.

Reading and running byte code is most of what a cold start costs, so three kinds of things are left out that no function
ever looks at: docstrings (a tenth of an import, with the libraries that edit them while they load), overloads, and the
fields of `TypedDict`s (typing compiles each one's annotation: pydantic_core alone declares 600). `python -OO` would
leave docstrings out as well, but takes every `assert` along, and wants to be told at the function's own start. Files
that are no valid Python are left without.

Unchecked: Lambda's file times are not the ones that were compiled from. In one process and in order, run with a fixed
hash seed, under the names that the files have on Lambda: nothing of this machine or moment gets in.

All of it is written twice: beside the sources, where every Python finds it, and into one file that
`nightshift.layer_bundle` reads (this module's `bundle` says how it is laid out).
"""

from __future__ import annotations

import ast
import importlib.util
import marshal
import sys
from collections.abc import Mapping
from importlib._bootstrap_external import _code_to_hash_pyc  # type: ignore[attr-defined]
from pathlib import Path, PurePosixPath

FIELDS_NOBODY_READS = ("pydantic_core", "sqlalchemy")
"""Packages whose `TypedDict`s are for type checkers alone. Not pydantic: it asks its `ConfigDict` what there is."""

_PYC_HEADER = 16
_Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def main(folder: Path, site: Path, on_lambda: PurePosixPath, target: Path) -> None:
    """Compile every file below `folder`, a part of `site`, and bundle the byte code in `target`."""
    compiled: dict[PurePosixPath, bytes] = {}
    for path in sorted(folder.rglob("*.py")):
        name, source = PurePosixPath(path.relative_to(site)), path.read_bytes()
        try:
            tree = lean(ast.parse(source), fields=name.parts[0] not in FIELDS_NOBODY_READS)
            code = compile(tree, str(on_lambda / name), "exec", dont_inherit=True)
        except SyntaxError:
            continue
        pyc = Path(importlib.util.cache_from_source(str(path), optimization=""))
        pyc.parent.mkdir(exist_ok=True)
        pyc.write_bytes(_code_to_hash_pyc(code, importlib.util.source_hash(source), False))
        compiled[name] = pyc.read_bytes()[_PYC_HEADER:]
    target.write_bytes(bundle(compiled))


def bundle(compiled: Mapping[PurePosixPath, bytes]) -> bytes:
    """One file of many modules: Python's magic number, the index and its length, the modules.

    The index, marshalled, has for each folder its modules: name → offset behind the index, length, is it a package.
    """
    index: dict[str, dict[str, tuple[int, int, bool]]] = {}
    offset = 0
    for path, code in compiled.items():
        package = path.name == "__init__.py"
        module = path.parent if package else path.with_suffix("")
        folder = "" if module.parent == PurePosixPath() else str(module.parent)
        index.setdefault(folder, {})[module.name] = (offset, len(code), package)
        offset += len(code)
    head = marshal.dumps(index)
    return b"".join((importlib.util.MAGIC_NUMBER, len(head).to_bytes(4, "little"), head, *compiled.values()))


def lean(tree: ast.Module, *, fields: bool = True) -> ast.Module:
    """A module without what is never looked at, line numbers as they were; without its `TypedDict`s' fields if told."""
    typed_dicts = {"TypedDict"}
    for node in ast.walk(tree):
        if isinstance(node, _Documented):
            _leave(node, [part for part in node.body if not _is_text(part)])
        if isinstance(node, ast.ClassDef) and _is_decorated(node, "dataclass"):
            # One without a docstring has its signature worked out and made into one.
            node.body.insert(0, ast.copy_location(ast.Expr(ast.copy_location(ast.Constant("…"), node)), node))
        if isinstance(node, ast.Module | ast.ClassDef):
            _leave(node, _without_overloads(node.body))
        if not fields and isinstance(node, ast.ClassDef) and typed_dicts & {_name(base) for base in node.bases}:
            typed_dicts.add(node.name)
            _leave(node, [part for part in node.body if not isinstance(part, ast.AnnAssign)])
    return tree


def _is_text(node: ast.stmt) -> bool:
    """A string that is no part of anything: the docstring, or what would be taken for it once that is gone."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _leave(node: _Documented, body: list[ast.stmt]) -> None:
    """Only a module may have nothing in it."""
    node.body = body or ([] if isinstance(node, ast.Module) else [ast.copy_location(ast.Pass(), node.body[0])])


def _without_overloads(body: list[ast.stmt]) -> list[ast.stmt]:
    """Without those that a real function follows; a protocol may have nothing else."""
    functions = [part for part in body if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef)]
    overloads = [part for part in functions if _is_decorated(part, "overload")]
    real = {part.name for part in functions if part not in overloads}
    return [part for part in body if part not in overloads or part.name not in real]


def _is_decorated(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef, name: str) -> bool:
    return any(_name(what.func if isinstance(what, ast.Call) else what) == name for what in node.decorator_list)


def _name(node: ast.expr) -> str:
    """`TypedDict` of `TypedDict` and `typing.TypedDict` alike; nothing of what is no name."""
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), PurePosixPath(sys.argv[3]), Path(sys.argv[4]))
