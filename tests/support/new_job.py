"""A job that a test adds to a copy of the tree, as docs/contributing.md says: the folder, and the edits outside it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
JOB = "count_tables"

FILES = {
    "functions/count_tables/__init__.py": '"""`count_tables`: counts the tables of the database."""\n',
    "functions/count_tables/app.py": '''\
"""Lambda's entry to `count_tables`; see `count_tables.job` and docs/jobs/count_tables.md."""

from nightshift.runtime import JobHandler

lambda_handler = JobHandler("count_tables")
''',
    "functions/count_tables/spec.py": '''\
"""Spec of the job `count_tables`."""

from nightshift.job_spec import JobSpec

SPEC = JobSpec(
    name="count_tables",
    work="count_tables.job:count_tables",
    request="count_tables.job:CountRequest",
    message="nightshift.slack.count_tables:render_count",
    layers=("shared",),
    sample="local.samples:conversations",
)
''',
    "functions/count_tables/job.py": '''\
"""The `count_tables` job: counts the tables of a schema."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict
from sqlalchemy import inspect

from nightshift.results.count_tables import CountResult
from nightshift.run import JobRun
from nightshift.run_services import RunServices


class CountRequest(BaseModel):
    """The event keys of the job."""

    model_config = ConfigDict(extra="forbid")

    of_schema: str = "public"


def count_tables(run: JobRun, services: RunServices) -> CountResult:
    """Count the tables of the schema that the event names."""
    schema = run.request.of_schema if run.request else "public"
    with services.database.connect() as connection:
        return CountResult(tables=len(inspect(connection).get_table_names(schema)))
''',
    "layers/shared/nightshift/results/count_tables.py": '''\
"""Result of `count_tables`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from nightshift.results.common import HIDDEN, JobResult, Metric, RunStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class CountResult(JobResult):
    """The number of tables."""

    tables: int
    status: RunStatus = field(default=RunStatus.OK, metadata=HIDDEN)

    def list_metrics(self, as_of: datetime) -> Iterator[Metric]:  # noqa: ARG002 - as of any result
        yield Metric("TablesCounted", self.tables)
''',
    "layers/shared/nightshift/slack/count_tables.py": '''\
"""Renders the message of `count_tables`."""

from __future__ import annotations

from nightshift.results.count_tables import CountResult
from nightshift.slack.formatter import MessageFormatter
from nightshift.slack.messages import MessageDraft, section_block
from nightshift.slack.report import ReportFrame, run_lines


def render_count(result: CountResult, report: ReportFrame, words: MessageFormatter) -> MessageDraft:
    """Returns one line for the name of the job, and one for the number of tables."""
    lines = [words.job_name(report.job), f"{result.tables}", *run_lines(report, words)]
    return MessageDraft(head=(section_block(lines),))
''',
    "events/count_tables.json": '{\n  "scheduled_time": "2025-10-13T00:00:00Z"\n}\n',
    "events/count_tables.dry_run.json": '{\n  "scheduled_time": "2025-10-13T00:00:00Z",\n  "dry_run": true\n}\n',
    "docs/jobs/count_tables.md": """\
# count_tables

Counts the tables of a schema.

## Event

| Key | Meaning |
|---|---|
| `of_schema` | The schema. |
""",
}
"""The files that belong to the job alone."""

EDITED = {"template.yaml", "layers/shared/nightshift/slack/phrases/names.py", "docs/configuration.md"}
"""The files of others that `add_job` edits."""
SECTION = """\
## Count tables

<!-- generated: parameters CountTables -->
<!-- /generated -->

"""

NOT_COPIED = (".*", "__pycache__", "node_modules")
"""Environments and caches; `copy_tree` links the ones that commands need."""
LINKED = (".venv", ".venv-sam", ".cache")

RESTORE = ("Memory", "ReservedConcurrency", "ConcurrencyReserved", "Function", "LogGroup", "Role", "ErrorsAlarm")
OUTPUTS = ("FunctionName", "LogGroupName")


def copy_tree(target: Path) -> None:
    """Copy the checkout, without what `make` has made; that is linked."""
    shutil.copytree(ROOT, target, ignore=shutil.ignore_patterns(*NOT_COPIED))
    for name in LINKED:
        (target / name).symlink_to(ROOT / name)


def add_job(tree: Path) -> None:
    """Write the job's own files, and make the edits outside."""
    for name, text in FILES.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    names = tree / "layers/shared/nightshift/slack/phrases/names.py"
    _replace(names, '"reembed": (', '"count_tables": ("테이블 수", "Table count"),\n            "reembed": (')
    _replace(tree / "docs/configuration.md", "## Events\n", SECTION + "## Events\n")
    template = tree / "template.yaml"
    text = template.read_text(encoding="utf-8")
    for name in (*RESTORE, *OUTPUTS):
        block = _block(text, f"Restore{name}")
        text = text.replace(block, block + _renamed(block), 1)
    group = re.search(r"      - Label: \{ default: Restore \}\n.*?(?=      - Label)", text, re.DOTALL)
    assert group
    text = text.replace(group[0], group[0] + _renamed(group[0]), 1)
    template.write_text(text, encoding="utf-8")


def _block(text: str, name: str) -> str:
    """Returns a parameter, condition, resource or output of the template, up to the one after it."""
    found = re.search(rf"^  {name}:.*?(?=^  [\w#]|^\w|^\n  [\w#]|^\n\w)", text, re.DOTALL | re.MULTILINE)
    assert found, name
    return found[0]


def _renamed(block: str) -> str:
    """Returns a block of the job `restore` as a block of ours: it reads the database alone."""
    block = re.sub(r"^        - PolicyName: archive\n.*?(?=^        - )", "", block, flags=re.DOTALL | re.MULTILINE)
    block = re.sub(r" +- !Ref ArrowLayer\n| +ARCHIVE_BUCKET: .*\n| +CLEANUP_LOCK_TIMEOUT: .*\n", "", block)
    block = block.replace("!Select [1, !Ref DatabaseSecretArns]", "!Select [8, !Ref DatabaseSecretArns]")
    block = re.sub(r"\bRestore(?!Backup)", "CountTables", block)
    return re.sub(r"\brestore\b", "count_tables", re.sub(r"-restore\b", "-count-tables", block))


def _replace(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, path
    path.write_text(text.replace(old, new), encoding="utf-8")
