"""The house keeps its shape: imports run one way, one room owns each foreign thing, nothing grows without end.

The lines are drawn in `ROOMS` and `OWNERS`. An import below `if TYPE_CHECKING` names a type and loads nothing, so it
does not count; an import inside a function does.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT / "layers" / "shared" / "nightshift"
FUNCTIONS = ROOT / "functions"
OURS = ("layers", "functions", "local", "benchmarks", "tests", "tools")

MAX_FILE_LINES = 300
MAX_FUNCTION_LINES = 60

# Room → the rooms it may use. A room is a module or a package of `nightshift`, or `job` for functions/<job>/.
ROOMS: dict[str, set[str]] = {
    "aws_failures": {"errors"},
    "concurrency": set(),
    "errors": set(),
    "envelopes": {"errors"},
    "results": {"errors"},
    "guards": {"errors", "results"},
    "job_spec": set(),
    "progress_events": set(),
    "run": {"errors", "envelopes"},
    "settings": {"errors"},
    "secrets": {"errors", "settings", "aws_failures"},
    "metrics": {"errors", "results"},
    "store": {"errors", "aws_failures"},
    "policy": {"errors", "settings"},
    "database": {"job_spec", "errors", "run", "results", "settings"},
    "slack": {"job_spec", "errors", "run", "results", "settings"},
    "rows": {"errors", "database"},
    "archive": {
        *("errors", "concurrency", "run", "results", "settings", "policy", "database", "rows", "store"),
        "progress_events",
    },
    "event_bus": {"errors", "aws_failures"},
    "charts": {"errors", "results"},
    "embedders": {"errors", "settings", "aws_failures"},
    "feedback": {
        *("errors", "guards", "run", "results", "settings", "policy", "database", "rows", "archive", "event_bus"),
    },
    "embedding": {
        *("errors", "guards", "run", "results", "settings", "policy", "database", "rows", "archive", "event_bus"),
        "embedders",
        "feedback",
        "progress_events",
    },
    "logs": {"errors", "settings", "rows", "store", "aws_failures"},
    "backup": {
        *("errors", "concurrency", "run", "results", "settings", "secrets", "database", "rows", "store"),
        *("progress_events", "logs"),
    },
    "notifications": {"job_spec", "errors", "run", "results", "settings", "secrets", "slack"},
    "restore": {
        *("errors", "concurrency", "run", "results", "settings", "database", "rows", "store", "archive"),
        "progress_events",
    },
    "expiry": {
        *("errors", "guards", "run", "results", "settings", "policy", "database", "rows", "store", "archive"),
        "progress_events",
    },
    "run_services": {
        *("errors", "settings", "secrets", "database", "store", "progress_events", "event_bus", "embedders"),
        "aws_failures",
    },
    "runtime": {
        "job_spec",
        *(
            "errors",
            "run",
            "results",
            "settings",
            "secrets",
            "metrics",
            "database",
            "store",
            "notifications",
        ),
        *("run_services", "aws_failures"),
    },
    "job": {
        "job_spec",
        *("errors", "run", "results", "settings", "policy", "database", "rows", "store", "archive", "restore"),
        *(
            "expiry",
            "feedback",
            "embedding",
            "embedders",
            "charts",
            "event_bus",
            "backup",
            "logs",
            "run_services",
            "runtime",
        ),
    },
    "cli": {
        "job_spec",
        *("errors", "run", "results", "settings", "policy", "database", "rows", "store", "archive", "restore"),
        *("backup", "run_services", "runtime", "aws_failures", "progress_events"),
    },
    "__main__": {"cli"},
}

# Foreign module → the only places that may import it.
OWNERS: dict[str, tuple[str, ...]] = {
    "boto3": ("store/", "secrets", "database/connect", "event_bus", "embedders/bedrock", "logs/cloudwatch"),
    "botocore": (
        *("store/", "secrets", "database/connect", "event_bus", "embedders/bedrock", "logs/cloudwatch", "aws_failures"),
        *("run_services", "runtime", "cli/failures"),
    ),
    "PIL": ("charts/",),
    "sklearn": ("embedders/hashing",),
    "pyarrow": ("rows/",),
    "adbc_driver_manager": ("rows/",),
    "adbc_driver_postgresql": ("rows/",),
    "slack_sdk": ("slack/",),
    "pg8000": ("database/",),
    "click": ("cli/",),
    "rich": ("cli/",),
    "aws_lambda_powertools": ("runtime", "notifications", "metrics", "secrets"),
}

# Calls that read the world outside: only the frame may, so that a run is a function of its event.
CLOCKS = {"datetime.now", "datetime.utcnow", "datetime.today", "date.today", "time.time"}
ENVIRONMENT = {"os.environ", "os.getenv"}


class Source:
    """One of our files."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.text = path.read_text(encoding="utf-8")

    @property
    def tree(self) -> ast.Module:
        """Parsed anew each time: the trees of all files at once take half a gigabyte."""
        return ast.parse(self.text)

    @property
    def name(self) -> str:
        """`archive/ledger` in the shared layer, `cleanup/job` in a job, else the path below the root."""
        for base in (SHARED, FUNCTIONS, ROOT):
            if self.path.is_relative_to(base):
                return self.path.relative_to(base).with_suffix("").as_posix()
        raise AssertionError(self.path)

    @property
    def room(self) -> str:
        return "job" if self.path.is_relative_to(FUNCTIONS) else self.name.split("/", 1)[0]

    def imports(self) -> Iterator[str]:
        """Dotted names of the modules that are loaded; `from nightshift import x` counts as `nightshift.x`."""
        yield from _imports(self.tree)

    def attributes(self) -> Iterator[tuple[int, str]]:
        """Line and `name.attribute` of every attribute of a plain name."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                yield node.lineno, f"{node.value.id}.{node.attr}"


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            yield from (f"{module}.{alias.name}" for alias in node.names) if module == "nightshift" else (module,)
        yield from _imports(node)


@cache
def sources(*directories: Path) -> list[Source]:
    return [Source(path) for directory in directories for path in sorted(directory.rglob("*.py"))]


def shipped() -> list[Source]:
    """All that runs on Lambda, but the root of the package."""
    return [source for source in sources(SHARED, FUNCTIONS) if source.path != SHARED / "__init__.py"]


def test_every_room_is_drawn() -> None:
    assert {source.room for source in shipped()} <= set(ROOMS)


def test_imports_run_one_way() -> None:
    wrong = {}
    for source in shipped():
        used = {name.split(".")[1] for name in source.imports() if name.startswith("nightshift.")}
        wrong[source.name] = used - {source.room} - ROOMS[source.room]
    assert {name: rooms for name, rooms in wrong.items() if rooms} == {}


def test_no_two_rooms_lean_on_each_other() -> None:
    """`ROOMS` itself has an order: each room stands on rooms that stand without it."""
    standing: set[str] = set()
    while ready := {room for room, below in ROOMS.items() if room not in standing and below <= standing}:
        standing |= ready
    assert standing == set(ROOMS)


def test_a_job_is_alone() -> None:
    """A job imports no other job; what runs on Lambda imports nothing that stays at home."""
    jobs = {app.parent.name for app in FUNCTIONS.glob("*/app.py")}
    wrong = {}
    for source in shipped():
        own = source.name.split("/", 1)[0] if source.room == "job" else ""
        top = {name.split(".", 1)[0] for name in source.imports()}
        wrong[source.name] = top & ((jobs - {own}) | {"local", "tests", "benchmarks", "tools"})
    assert {name: modules for name, modules in wrong.items() if modules} == {}


def test_each_foreign_thing_has_one_owner() -> None:
    wrong = [
        f"{source.name} imports {name}"
        for source in shipped()
        for name in {name.split(".", 1)[0] for name in source.imports()} & set(OWNERS)
        if source.room == "job" or not source.name.startswith(OWNERS[name])
    ]
    assert wrong == []


def test_only_the_frame_reads_clock_and_environment() -> None:
    wrong = []
    for source in shipped():
        forbidden = set(ENVIRONMENT) if source.room not in ("runtime", "cli") else set()
        forbidden |= CLOCKS if source.room != "run_services" else set()
        wrong += [f"{source.name}:{line}: {name}" for line, name in source.attributes() if name in forbidden]
    assert wrong == []


def test_a_handler_is_thin() -> None:
    lengths = {app.parent.name: len(app.read_text().splitlines()) for app in FUNCTIONS.glob("*/app.py")}
    assert len(lengths) > 5
    assert {job: lines for job, lines in lengths.items() if lines > 40} == {}


def test_no_file_and_no_function_grows_without_end() -> None:
    ours = sources(*(ROOT / name for name in OURS))
    long_files = {s.name: n for s in ours if (n := len(s.text.splitlines())) > MAX_FILE_LINES}
    long_functions = {
        f"{source.name}:{node.name}": length
        for source in ours
        for node in ast.walk(source.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := (node.end_lineno or node.lineno) - node.lineno + 1) > MAX_FUNCTION_LINES
    }
    assert long_files == {}
    assert long_functions == {}


def test_every_shipped_module_says_what_it_is_for() -> None:
    assert [source.name for source in shipped() if not ast.get_docstring(source.tree)] == []


SAMPLE = """
import os, boto3
from typing import TYPE_CHECKING
from nightshift import store
from nightshift.rows.parquet import write
if TYPE_CHECKING:
    import pyarrow
def f():
    from nightshift.slack import blocks
    os.environ["X"]
"""


def test_the_reader_of_imports_misses_none(tmp_path: Path) -> None:
    """The tests above are worth what they see: lists, packages, functions, and not what is for types alone."""
    path = tmp_path / "sample.py"
    path.write_text(SAMPLE)
    source = Source(path)
    assert list(source.imports()) == [
        "os",
        "boto3",
        "typing",
        "nightshift.store",
        "nightshift.rows.parquet",
        "nightshift.slack",
    ]
    assert (10, "os.environ") in list(source.attributes())
