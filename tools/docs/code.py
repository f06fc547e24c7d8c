"""Tables from the code: metrics, own tables, packages, progress steps."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from nightshift.database.tables import metadata
from nightshift.progress_events import ProgressStep
from tests.test_structure import ROOMS
from tools.docs import markdown
from tools.docs.template import functions

ROOT = Path(__file__).resolve().parents[2]
METRICS = ROOT / "layers" / "shared" / "nightshift" / "metrics.py"
RESULTS = METRICS.with_name("results")

EVERY_JOB = "all jobs"


def metric_table() -> str:
    """Returns the metrics, with the jobs that write each."""
    rows = [
        (markdown.code(name), unit, ", ".join(job if job == EVERY_JOB else markdown.code(job) for job in jobs))
        for (name, unit), jobs in jobs_by_metric().items()
    ]
    return markdown.table(("Metric", "Unit", "Written by"), rows)


def jobs_by_metric() -> Mapping[tuple[str, str], list[str]]:
    """Returns the jobs that write each metric, by the metric's name and unit."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for metric in _metrics(METRICS, "emit_metrics"):
        found[metric] = [EVERY_JOB]
    for job in functions():
        for metric in _metrics(*_result_class(job)):
            found[metric].append(job)
    return found


def _metrics(path: Path, name: str) -> Iterator[tuple[str, str]]:
    """Yields name and unit of every metric that a function or class of a module writes."""
    module = ast.parse(path.read_text(encoding="utf-8"))
    (writer,) = [node for node in module.body if getattr(node, "name", None) == name]
    calls = [node for node in ast.walk(writer) if isinstance(node, ast.Call)]
    for call in sorted(calls, key=lambda call: call.lineno):
        if isinstance(call.func, ast.Attribute) and call.func.attr == "add_metric":
            metric, unit = call.args[:2]
            if isinstance(metric, ast.Constant):
                yield str(metric.value), ast.unparse(unit).removeprefix("MetricUnit.")
        elif ast.unparse(call.func) == "Metric":
            metric, *unit_and_value = call.args
            assert isinstance(metric, ast.Constant)
            yield str(metric.value), str(ast.literal_eval(unit_and_value[1])) if unit_and_value[1:] else "Count"


def _result_class(job: str) -> tuple[Path, str]:
    """Returns the class that a job returns: its module, and its name."""
    module = ast.parse((ROOT / "functions" / job / "job.py").read_text(encoding="utf-8"))
    (function,) = [node for node in module.body if isinstance(node, ast.FunctionDef) and node.name == job]
    assert function.returns is not None
    name = ast.unparse(function.returns)
    (path,) = [path for path in RESULTS.glob("*.py") if f"\nclass {name}" in path.read_text(encoding="utf-8")]
    return path, name


def own_table_table() -> str:
    """Returns nightshift's own tables with their columns."""
    rows = [
        (markdown.code(table.name), markdown.code(*(column.name for column in table.columns)))
        for table in metadata.sorted_tables
    ]
    return markdown.table(("Table", "Columns"), sorted(rows))


def step_list() -> str:
    """Returns the progress steps in their order."""
    return markdown.code(*(step.value for step in ProgressStep))


def package_table() -> str:
    """Returns each package of nightshift with the packages that it may import."""
    rows = [(markdown.code(name), markdown.code(*sorted(ROOMS[name])) or "–") for name in sorted(ROOMS)]
    return markdown.table(("Package", "May import"), rows)
