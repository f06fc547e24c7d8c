"""Byte code without docstrings, by the runtime's own Python: `python3.13 byte_code.py FOLDER SITE SITE_ON_LAMBDA`.

Reading byte code is most of what an import costs, and a tenth of that goes into texts that no function ever looks at,
and into libraries that edit them while they load. `python -OO` would leave them out as well, but takes every `assert`
along, and wants to be told at the function's own start. Files that are no valid Python are left without.

Unchecked: Lambda's file times are not the ones that were compiled from. In one process and in order, run with a fixed
hash seed, under the names that the files have on Lambda: nothing of this machine or moment gets in.
"""

from __future__ import annotations

import ast
import importlib.util
import sys
from importlib._bootstrap_external import _code_to_hash_pyc  # type: ignore[attr-defined]
from pathlib import Path, PurePosixPath

_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def main(folder: Path, site: Path, on_lambda: PurePosixPath) -> None:
    """Compile every file below `folder`, a part of `site`."""
    for path in sorted(folder.rglob("*.py")):
        source = path.read_bytes()
        try:
            code = compile(
                silent(ast.parse(source)), str(on_lambda / path.relative_to(site)), "exec", dont_inherit=True
            )
        except SyntaxError:
            continue
        target = Path(importlib.util.cache_from_source(str(path), optimization=""))
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(_code_to_hash_pyc(code, importlib.util.source_hash(source), False))


def silent(tree: ast.Module) -> ast.Module:
    """A module without its docstrings, line numbers as they were."""
    for node in ast.walk(tree):
        if isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            text = node.body.pop(0)
            if not node.body and not isinstance(node, ast.Module):
                node.body.append(ast.copy_location(ast.Pass(), text))
    return tree


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), PurePosixPath(sys.argv[3]))
