"""Tables from the code: metrics, own tables, packages, progress steps."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from nightshift.archive.events import ProgressStep
from nightshift.database.tables import metadata
from tests.test_structure import ROOMS
from tools.docs import markdown
from tools.docs.template import functions

ROOT = Path(__file__).resolve().parents[2]
METRICS = ROOT / "layers" / "shared" / "nightshift" / "metrics.py"


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
    module = ast.parse(METRICS.read_text(encoding="utf-8"))
    written = {node.name: list(_metrics(node)) for node in module.body if isinstance(node, ast.FunctionDef)}
    for metric in written["emit_metrics"]:
        found[metric] = [EVERY_JOB]
    writers = _writers(module)
    for job in functions():
        for metric in written.get(writers.get(_result_class(job), ""), []):
            found[metric].append(job)
    return found


def _metrics(function: ast.FunctionDef) -> Iterator[tuple[str, str]]:
    """Yields name and unit of every metric that a function adds."""
    calls = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
    for node in sorted(calls, key=lambda call: call.lineno):
        if isinstance(node.func, ast.Attribute) and node.func.attr == "add_metric":
            name, unit = node.args[:2]
            assert isinstance(name, ast.Constant)
            # A unit is a text, or a member such as MetricUnit.Count.
            yield (
                str(name.value),
                str(unit.value if isinstance(unit, ast.Constant) else ast.unparse(unit).split(".")[1]),
            )


def _writers(module: ast.Module) -> Mapping[str, str]:
    """Returns the function that writes the metrics of each result class."""
    (mapping,) = [
        node.value
        for node in module.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == "_OF_JOBS"
    ]
    assert isinstance(mapping, ast.Dict)
    return {
        str(ast.literal_eval(key)): ast.unparse(value)
        for key, value in zip(mapping.keys, mapping.values, strict=True)
        if key is not None
    }


def _result_class(job: str) -> str:
    """Returns the name of the class that a job returns."""
    module = ast.parse((ROOT / "functions" / job / "job.py").read_text(encoding="utf-8"))
    (function,) = [node for node in module.body if isinstance(node, ast.FunctionDef) and node.name == job]
    assert function.returns is not None
    return ast.unparse(function.returns)


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
