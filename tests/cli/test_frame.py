"""What holds for every command: help, usage, exit status, a clean stdout, and how it stops."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from nightshift import __version__
from nightshift.cli.app import COMMANDS
from nightshift.cli.failures import CommandFailure, error_lines, handle_errors
from tests.cli.command import environment, nightshift, process, terminal
from tests.support.house import House

NOWHERE = {"DATABASE_URL": "postgresql://postgres@127.0.0.1:1/nowhere", "ARCHIVE_BUCKET": "nowhere"}
PAGES = [(name,) for name in COMMANDS] + [("archives", "ddl")]
CLEANUP_DUE = "INSERT INTO conversation_log VALUES (1, '2025-01-01')"


@pytest.fixture
def small(house: House) -> House:
    """A table with one due row."""
    house.sql("CREATE TABLE conversation_log (id bigint, created_at timestamptz)")
    house.sql(CLEANUP_DUE)
    return house


def test_help_lists_every_command_the_environment_and_the_exit_status() -> None:
    page = nightshift({}, "--help").stdout
    for word in (*COMMANDS, "DATABASE_URL", "ARCHIVE_BUCKET", "Exit status", "130", "Examples"):
        assert word in page


@pytest.mark.parametrize("page", PAGES, ids=" ".join)
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_every_command_has_help_with_examples(page: tuple[str, ...], flag: str) -> None:
    said = nightshift({}, *page, flag)
    assert (said.code, said.stderr) == (0, "")
    assert "Exit status:" in said.stdout
    assert page == ("completion",) or "Environment: " in said.stdout
    assert f"nightshift {' '.join(page)}" in said.stdout.split("Examples:")[1]


@pytest.mark.parametrize("page", PAGES, ids=" ".join)
def test_options_shown_in_examples_exist(page: tuple[str, ...]) -> None:
    options, examples = nightshift({}, *page, "--help").stdout.split("Examples:")
    others = [f"nightshift {' '.join(other)}" for other in PAGES if len(other) > len(page)]
    lines = [line.split("|")[0] for line in examples.splitlines() if f"nightshift {' '.join(page)}" in line]
    ours = [line for line in lines if not any(other in line for other in others)]
    used = {word for line in ours for word in line.split() if word.startswith("--")}
    assert used <= set(options.replace(",", " ").split())


def test_help_needs_none_of_the_heavy_packages() -> None:
    """TAB and --help answer at once."""
    script = (
        "import sys; from nightshift.cli.app import cli; cli(['restore', '--help'], standalone_mode=False);"
        "print([m for m in ('sqlalchemy', 'boto3', 'pyarrow', 'rich', 'pydantic') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment({}), capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_version() -> None:
    assert process({}, "--version").stdout == f"nightshift, version {__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ("plant",),
        ("plan", "--tabel", "x"),
        ("archives", "--since", "yesterday"),
        ("archives", "--since", "20250801"),
        ("archives", "--since", "2025-08-31", "--until", "2025-08-01"),
        ("archives", "--until", "2025-08-01", "--since", "2025-08-31"),
        ("archives", "--all", "ddl", "conversation_log", "--engine", "duckdb"),
        ("archives", "ddl", "conversation_log"),
        ("archives", "ddl", "conversation_log", "--engine", "oracle"),
        ("verify", "--quick", "--values"),
        ("restore",),
        ("restore", "t", "--rename", "old"),
        ("restore", "t", "--rename", "a=b", "--rename", "a=c"),
        ("restore", "t", "--rename", "a=c", "--rename", "b=c"),
        ("restore", "t", "--into", "x", "--into-original"),
        ("restore", "t", "--hold", "7d"),
        ("restore", ""),
        ("restore", "t", "--into", ""),
        ("restore", "t", "--object", ""),
        ("restore", "t", "--until", ""),
        ("restore", "t", "--into-original", "--hold", "a while"),
        ("invoke", "sweep_the_floor"),
        ("invoke", "cleanup", "--event", "/no/such/file"),
        ("completion", "cmd"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_meant_touches_nothing(arguments: tuple[str, ...], house: House) -> None:
    """Neither the database nor Slack: there is no such server, and nobody is told."""
    said = nightshift({**house.env, **NOWHERE}, *arguments)
    assert (said.code, said.stdout) == (2, "")
    assert said.stderr.strip()
    assert "could not be reached" not in said.stderr
    assert house.slack.messages == []


@pytest.mark.fast_cases(2)
@pytest.mark.parametrize(
    "arguments",
    [
        ("plan", "--table", ""),
        ("archives", "--table", ""),
        ("verify", ""),
        ("archives", "ddl", "", "--engine", "spark"),
    ],
)
def test_an_empty_name_does_not_mean_every_table(arguments: tuple[str, ...], small: House) -> None:
    """A script's variable that is not set."""
    small.run()
    said = nightshift(small, *arguments)
    assert (said.code, said.stdout) == (2, "")


@pytest.mark.parametrize(
    "arguments", [("archives",), ("verify",), ("restore", "t"), ("archives", "ddl", "t", "--engine", "spark")]
)
def test_without_a_bucket(arguments: tuple[str, ...], house: House) -> None:
    said = nightshift({**house.env, "ARCHIVE_BUCKET": ""}, *arguments)
    assert (said.code, said.stdout) == (2, "")
    assert said.stderr.startswith("error: settings are not usable\n  ARCHIVE_BUCKET: is not set\n  hint: ")
    assert "name the bucket that the archive goes to; nothing was read or written" in said.stderr
    assert house.slack.messages == []


@pytest.mark.parametrize("error", [RuntimeError("hunter2"), KeyError("hunter2"), OSError(5, "hunter2")])
def test_an_error_that_nobody_expected(error: Exception) -> None:
    """Its class is named, its text is not: it may quote a row or a password."""
    with pytest.raises(CommandFailure) as raised, handle_errors(verbose=False):
        raise error
    said = error_lines(raised.value.error)
    assert said == f"an unexpected error\n  {type(error).__name__}\n  hint: nightshift --verbose … has its trace"


def test_every_setting_that_is_wrong_is_named_and_no_secret_is() -> None:
    env = {"DATABASE_URL": "mysql://root:hunter2@db/app", "LOG_RETENTION_DAYS": "many", "TIMEZONE": "Seoul"}
    said = process({**env, "ARCHIVE_BUCKET": "b_"}, "archives")
    assert (said.code, said.stdout) == (2, "")
    for name in ("LOG_RETENTION_DAYS", "TIMEZONE", "ARCHIVE_BUCKET"):
        assert name in said.stderr
    assert "hunter2" not in said.stderr + nightshift(env | {"LOG_RETENTION_DAYS": "", "TIMEZONE": ""}, "plan").stderr


@pytest.mark.fast_cases("plan")
@pytest.mark.parametrize("arguments", [("plan",), ("archives",), ("verify",), ("invoke", "cleanup")], ids=" ".join)
def test_a_pipe_gets_plain_lines(small: House, arguments: tuple[str, ...]) -> None:
    """Whatever rich is told to do by the environment."""
    long = "a_table_whose_name_alone_is_longer_than_half_a_terminal"
    small.sql(f"CREATE TABLE {long} AS TABLE conversation_log")
    small.policies("".join(f'[[retention]]\ntable = "{t}"\nkeep_days = 30\n' for t in ("conversation_log", long)))
    small.run()
    small.sql(f"{CLEANUP_DUE}; INSERT INTO {long} VALUES (2, '2025-02-02')")
    small.env.update(FORCE_COLOR="1", COLUMNS="40", TTY_COMPATIBLE="1")

    said = process(small, *arguments)

    assert (said.code, said.stderr) == (0, "")
    assert "\x1b" not in said.stdout
    assert not set("─━│┃╭╮╯╰") & set(said.stdout)
    if arguments[0] in ("plan", "archives"):
        (line,) = [line for line in said.stdout.splitlines() if line.startswith(f"public.{long}")]
        assert len(line) > 80


def test_a_terminal_gets_a_head_with_a_line(small: House) -> None:
    assert "─" in terminal(small, "plan").screen


@pytest.mark.slow
def test_the_log_is_shown_when_asked_for(small: House) -> None:
    said = process(small, "--verbose", "invoke", "cleanup", "--event", "-", "--json", stdin="{}")
    assert said.code == 0
    assert said.json["status"] == "ok"
    assert '"message":"run started"' in said.stderr


@pytest.mark.slow
def test_warnings_are_one_line_each(small: House) -> None:
    small.env["SLACK_BOT_TOKEN"] = "xoxb-somebody-else"
    said = process(small, "invoke", "cleanup", "--event", "-", "--json", stdin="{}")
    assert said.code == 0
    assert said.json["status"] == "ok"
    assert said.stderr.startswith("warning: Slack was not told")
    assert said.stderr.count("\n") == 1
    assert "somebody-else" not in said.stderr


def test_ctrl_c_is_one_line(small: House) -> None:
    """While a statement waits for a lock that nobody is going to release."""
    small.sql("BEGIN")
    small.sql("LOCK TABLE conversation_log")
    command = [sys.executable, "-m", "nightshift", "plan", "--json"]
    with subprocess.Popen(
        command, env=environment(small), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        while not small.value("SELECT count(*) FROM pg_locks WHERE NOT granted"):
            assert running.poll() is None, running.communicate()
            time.sleep(0.02)
        os.kill(running.pid, signal.SIGINT)
        stdout, stderr = running.communicate()
        assert (
            small.value("SELECT count(*) FROM pg_locks WHERE relation = 'conversation_log'::regclass AND granted") == 1
        )
    small.sql("ROLLBACK")
    assert (running.returncode, json.loads(stdout)["status"], stderr.strip()) == (130, "interrupted", "interrupted")


@pytest.mark.slow
def test_a_reader_who_leaves_is_no_error(small: House) -> None:
    small.run()
    env = environment(small)
    command = f"{sys.executable} -m nightshift archives --json | true"
    done = subprocess.run(["bash", "-c", command], env=env, capture_output=True, text=True, check=False)
    assert done.stderr == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell: str) -> None:
    said = nightshift({}, "completion", shell)
    assert said.code == 0
    assert f"_NIGHTSHIFT_COMPLETE={shell}_complete" in said.stdout


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("nightshift ", set(COMMANDS)),
        ("nightshift restore --into", {"--into", "--into-original"}),
        ("nightshift archives ddl t --engine ", {"athena", "duckdb", "spark"}),
        ("nightshift invoke cl", {"cleanup"}),
        ("nightshift restore ", set()),
    ],
)
def test_tab(line: str, expected: set[str]) -> None:
    """As bash asks; without a database, since TAB may open none."""
    words = line.split()
    last = len(words) if line.endswith(" ") else len(words) - 1
    asked = {"_NIGHTSHIFT_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(last)}
    said = process({**NOWHERE, **asked})
    assert {answer.partition(",")[2] for answer in said.stdout.split()} == expected
    assert said.stderr == ""
