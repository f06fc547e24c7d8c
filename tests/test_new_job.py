"""A job is added to a copy of the tree: four edits outside its folders, and runtime, Slack, CLI and checks know it."""

from __future__ import annotations

import filecmp
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from local.artefact import runtime_python
from local.slack import SlackServer
from tests.support.new_job import EDITED, FILES, JOB, ROOT, add_job, copy_tree

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


def test_four_edits_outside_are_enough(tree: Path) -> None:
    ours = {
        path.relative_to(ROOT)
        for folder in ("functions", "layers", "local", "tools", "tests")
        for path in (ROOT / folder).rglob("*.py")
    } | {Path(name) for name in ("README.md", "template.yaml", "Makefile")}
    changed = {str(path) for path in ours if not filecmp.cmp(ROOT / path, tree / path, shallow=False)}
    assert changed == {*EDITED, "README.md"} and len(changed) <= 4
    assert f"[`{JOB}`](docs/jobs/{JOB}.md) | Counts the tables of a schema" in (tree / "README.md").read_text()


def test_the_command_line_runs_it_and_slack_hears_of_it(
    tree: Path, environment: dict[str, str], slack: SlackServer
) -> None:
    done = run(tree, environment, "-m", "nightshift", "invoke", JOB, "--json", "--event", f"events/{JOB}.json")
    answer = json.loads(done.stdout)
    assert (answer["job"], answer["status"], answer["tables"]) == (JOB, "ok", 0)
    (message,) = slack.messages
    assert message.text.splitlines()[0] == "테이블 수"


def test_lambdas_runtime_runs_it(tree: Path, environment: dict[str, str]) -> None:
    done = run(tree, environment, "-m", "local.invoke", JOB, f"events/{JOB}.dry_run.json")
    assert json.loads(done.stdout)["status"] == "ok"
    assert runtime_python() is None or "TablesCounted" not in done.stderr, "a dry run counts nothing"


def test_the_checks_know_it(tree: Path) -> None:
    done = run(tree, {}, "-m", "pytest", "-q", "-p", "no:cacheprovider", *CHECKS)
    assert " passed" in done.stdout
    assert set(FILES) <= {str(path.relative_to(tree)) for path in tree.rglob("*") if path.is_file()}
