"""`python -m tools.names`: what a stranger trips over in the product's names and imports; fails where it is too much.

* the share of public names of a single word, without methods that are idioms of Python (`close`, `get`, …)
* names of classes that stand for two things
* circles of imports, those for the type checker alone included
"""

from __future__ import annotations

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PRODUCT = (ROOT / "layers" / "shared", ROOT / "functions")
MOST_SINGLE = 0.25
IDIOMS = frozenset(
    {"add", "close", "commit", "connect", "delete", "execute", "get", "insert", "keys", "label", "list", "main", "name"}
    | {"put", "read", "rollback", "rows", "run", "status", "update", "write"}
)
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+")


def modules() -> dict[str, ast.Module]:
    """Every module of the product, parsed, by its dotted name."""
    found = {}
    for base in PRODUCT:
        for path in sorted(base.rglob("*.py")):
            name = ".".join(path.relative_to(base).with_suffix("").parts).removesuffix(".__init__")
            found[name] = ast.parse(path.read_text(encoding="utf-8"))
    return found


def definitions(tree: ast.AST, inside: str = "") -> Iterator[tuple[str, ast.ClassDef | ast.FunctionDef]]:
    """Classes, functions and methods of a module, each with the class that it is in; none within functions."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            yield inside, node
            if isinstance(node, ast.ClassDef):
                yield from definitions(node, node.name)
        elif isinstance(node, ast.If | ast.Try | ast.With):
            yield from definitions(node, inside)


def single_words(trees: Mapping[str, ast.Module]) -> tuple[list[str], int]:
    """The public names of one word, idioms left out, and the number of all public names."""
    public = [
        (f"{module}.{inside}.{node.name}".replace("..", "."), node.name)
        for module, tree in trees.items()
        for inside, node in definitions(tree)
        if not node.name.startswith("_")
    ]
    single = [where for where, name in public if len(_WORD.findall(name)) == 1 and name not in IDIOMS]
    return single, len(public)


def duplicate_classes(trees: Mapping[str, ast.Module]) -> dict[str, list[str]]:
    """The modules of each class name that more than one class has."""
    homes = defaultdict(list)
    for module, tree in trees.items():
        for _, node in definitions(tree):
            if isinstance(node, ast.ClassDef):
                homes[node.name].append(module)
    return {name: places for name, places in homes.items() if len(places) > 1}


def imports(trees: Mapping[str, ast.Module]) -> dict[str, set[str]]:
    """The modules of the product that each module imports at its top, for its types alone included."""
    graph: dict[str, set[str]] = {}
    for module, tree in trees.items():
        graph[module] = set()
        for node in _at_the_top(tree):
            names = [alias.name for alias in node.names]
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{name}" for name in names] + [str(node.module)]
            inner = {name for name in names if name in trees}
            # `from package import module` loads the module; the package's own names are in its `__init__`.
            graph[module] |= inner - {str(getattr(node, "module", ""))} or inner
        graph[module] -= {module, *(module.rsplit(".", n)[0] for n in range(1, module.count(".") + 1))}
    return graph


def _at_the_top(tree: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif isinstance(node, ast.If | ast.Try):
            yield from _at_the_top(node)


def circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Groups of modules that import each other, by Tarjan's algorithm."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(module: str) -> None:
        order[module] = low[module] = len(order)
        stack.append(module)
        for other in sorted(graph[module]):
            if other not in order:
                visit(other)
                low[module] = min(low[module], low[other])
            elif other in stack:
                low[module] = min(low[module], order[other])
        if low[module] == order[module]:
            group = stack[stack.index(module) :]
            del stack[stack.index(module) :]
            if len(group) > 1:
                found.append(sorted(group))

    for module in graph:
        if module not in order:
            visit(module)
    return found


def main() -> None:
    """Print what was found; exit with 1 where it is too much."""
    trees = modules()
    single, public = single_words(trees)
    twice, rings = duplicate_classes(trees), circles(imports(trees))
    print(f"public names of a single word: {len(single)} of {public}, {len(single) / public:.1%}")
    print(f"class names that stand for two things: {len(twice)}")
    print(f"circles of imports: {len(rings)}")
    for name, places in twice.items():
        print(f"  {name}: {', '.join(places)}")
    for ring in rings:
        print(f"  {' <-> '.join(ring)}")
    sys.exit(bool(twice or rings or len(single) > MOST_SINGLE * public))


if __name__ == "__main__":
    main()
