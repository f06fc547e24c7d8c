"""A job is added to a copy of the tree: three edits outside its folders, and runtime, Slack, CLI and checks know it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from local.slack import SlackServer
from nightshift.database.tables import metadata
from tests.support.new_job import EDITED, FILES, JOB, ROOT, add_job, copy_tree
from tools.docs.blocks import BLOCK

FOLDERS = ("benchmarks", "docs", "functions", "layers", "local", "tests", "tools")
CHECKS = (
    *("tests/test_structure.py", "tests/docs/test_pages.py", "tests/template/test_build.py"),
    *("tests/template/test_events.py", "tests/template/test_roles.py", "tests/template/test_settings.py"),
)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout with one more job."""
    target = tmp_path_factory.mktemp("new_job") / "nightshift"
    copy_tree(target)
    add_job(target)
    run(target, {}, "-m", "tools.docs")
    return target


def run(tree: Path, env: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the copy's code by our Python."""
    path = os.pathsep.join(str(tree / folder) for folder in ("layers/shared", "functions", "."))
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=tree,
        env={**os.environ, **env, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done


def text_of(path: Path) -> str:
    """The text without the blocks that `make docs` fills."""
    return BLOCK.sub("", path.read_text(encoding="utf-8"))


def test_three_edits_outside_are_enough(tree: Path) -> None:
    names = {path.relative_to(ROOT) for folder in FOLDERS for path in (ROOT / folder).rglob("*.[pm][yd]")}
    names |= {Path(name) for name in ("README.md", "Makefile", "template.yaml", "samconfig.toml")}
    assert {str(name) for name in names if text_of(ROOT / name) != text_of(tree / name)} == EDITED
    row = f"[`{JOB}`](docs/jobs/{JOB}.md) | Counts the tables of a schema"
    assert row in (tree / "README.md").read_text(encoding="utf-8")


def test_the_command_line_runs_it_and_slack_hears_of_it(
    tree: Path, environment: dict[str, str], slack: SlackServer
) -> None:
    done = run(tree, environment, "-m", "nightshift", "invoke", JOB, "--json", "--event", f"events/{JOB}.json")
    answer = json.loads(done.stdout)
    assert (answer["job"], answer["status"], answer["tables"]) == (JOB, "ok", len(metadata.tables))
    (message,) = slack.messages
    assert message.text.splitlines()[0] == "테이블 수"


def test_lambdas_runtime_runs_it(tree: Path, environment: dict[str, str]) -> None:
    measured = {**environment, "POWERTOOLS_METRICS_DISABLED": "false"}
    done = run(tree, measured, "-m", "local.invoke", JOB, f"events/{JOB}.json")
    assert json.loads(done.stdout)["status"] == "ok"
    assert "TablesCounted" in done.stderr


@pytest.mark.slow
def test_the_checks_know_it(tree: Path) -> None:
    done = run(tree, {}, "-m", "pytest", "-q", "-p", "no:cacheprovider", *CHECKS)
    assert " passed" in done.stdout
    assert set(FILES) <= {str(path.relative_to(tree)) for path in tree.rglob("*") if path.is_file()}
