"""The shell blocks of README.md and docs/ run, up to the point where AWS itself is needed."""

from __future__ import annotations

import itertools
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from local.postgres import EmbeddedPostgres
from nightshift.cli.app import cli
from tests.docs.aws_command import NotUnderstood, read_call
from tests.docs.shell import Shell, blocks_of
from tests.support.handler import run_job
from tests.support.house import House
from tools.docs.blocks import ROOT, pages

URL = "postgresql://user:password@host:5432/name"
DAY = "2025-08-20"


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


def test_the_quickstart(shell: Shell, house: House) -> None:
    house.sql("CREATE TABLE chat_message (id bigint PRIMARY KEY, body text, created_at timestamptz NOT NULL)")
    house.sql("INSERT INTO chat_message SELECT n, 'message ' || n, now() - n * '1 day'::interval"
              " FROM generate_series(1, 120) n")  # fmt: skip
    (block,) = blocks_of("README.md", "Quickstart on your own database")
    assert len(block.splitlines()) == 10

    said = shell.run(block, replace={URL: house.url, "my-archive": house.bucket})

    left, restored = house.value("SELECT count(*) FROM chat_message"), house.texts("chat_message_restored", "id")
    assert left in (89, 90) and len(restored) == 120 - left
    assert f"{left + 1}" in restored
    assert "public.chat_message" in said


@pytest.fixture
def lost_day(house: House) -> House:
    """A day of conversations that has been archived."""
    house.sql("CREATE TABLE conversation_log (id bigint PRIMARY KEY, body text, score numeric, created_at timestamptz)")
    house.sql(f"""INSERT INTO conversation_log
      SELECT n, 'message ' || n, CASE WHEN n > 1 THEN n ELSE numeric 'NaN' END, timestamptz '{DAY} 12:00+09'
      FROM generate_series(1, 5) n UNION ALL SELECT 6, 'new', 6, '2025-10-14 12:00+09'""")
    house.run()
    assert house.value("SELECT count(*) FROM conversation_log") == 1
    return house


def prepared(house: House) -> tuple[list[str], dict[str, str]]:
    """The blocks with which restore.md prepares, and the values of their placeholders."""
    buckets = {"nightshift-prod-archive": house.bucket, "nightshift-prod-backups": house.bucket}
    return blocks_of("docs/restore.md", "Prepare"), {URL: house.url, **buckets}


@pytest.mark.slow
def test_archived_rows_return(shell: Shell, lost_day: House) -> None:
    before, values = prepared(lost_day)
    shell.run(*before, *blocks_of("docs/restore.md", "A. Archived rows"), replace=values)
    assert lost_day.texts("conversation_log_restored", "id") == list("12345")
    assert lost_day.texts("conversation_log", "id") == list("123456")


def test_archived_rows_return_by_hand(shell: Shell, lost_day: House) -> None:
    before, values = prepared(lost_day)
    said = shell.run(*before, *blocks_of("docs/restore.md", "D. Without nightshift"), replace=values)
    assert "1.parquet: OK" in said
    assert re.search(r"^ +5 \| +5$", said, re.MULTILINE)
    assert lost_day.texts("restored", "id, body, score::text") == lost_day.texts(
        "(SELECT n id, 'message ' || n body, CASE WHEN n > 1 THEN n::text ELSE 'NaN' END score"
        " FROM generate_series(1::bigint, 5) n)",
        "id, body, score",
    )


@pytest.fixture
def backed_up(house: House) -> House:
    """A database with a backup of the name that restore.md has, and a table that lost rows afterwards."""
    house.sql("CREATE SCHEMA app; CREATE TABLE app.invoice (id int PRIMARY KEY, total numeric)")
    house.sql("INSERT INTO app.invoice SELECT n, n * 10 FROM generate_series(1, 4) n")
    run_job("backup", house.env, {"scheduled_time": "2025-10-20T15:00:00Z"})
    house.sql("DELETE FROM app.invoice WHERE id > 1")
    return house


@pytest.mark.slow
def test_one_table_returns_from_a_backup(shell: Shell, backed_up: House) -> None:
    before, values = prepared(backed_up)
    shell.run(*before, *blocks_of("docs/restore.md", "B. One table from a backup"), replace=values)
    assert backed_up.texts("app.invoice", "id") == list("1234")
    assert backed_up.texts("app.invoice_damaged", "id") == ["1"]
    assert not [key for key in backed_up.s3.keys(backed_up.bucket) if key.endswith("pinned.json")]


@pytest.mark.slow
def test_a_whole_database_returns(shell: Shell, backed_up: House, postgres: EmbeddedPostgres) -> None:
    before, values = prepared(backed_up)
    server = {"postgresql://postgres:password@new-host:5432": postgres.url.removesuffix("/postgres")}
    try:
        shell.run(*before, *blocks_of("docs/restore.md", "C. The whole database"), replace=values | server)
        assert postgres.execute("SELECT sum(total)::int FROM app.invoice", "service_again") == [(100,)]
    finally:
        postgres.drop_database("service_again")


def test_the_functions_are_invoked(shell: Shell) -> None:
    shell.run(*blocks_of("docs/restore.md", "Within AWS"))


def test_deploy(shell: Shell) -> None:
    """AWS's commands are read by boto3's descriptions, SAM's by SAM; make resolves its targets."""
    shell.run(*blocks_of("docs/deploy.md"))


def test_the_two_commands_are_targets(shell: Shell) -> None:
    shell.run(*blocks_of("README.md", "Two commands"))


@pytest.mark.parametrize("page", pages(), ids=named)
def test_every_block_is_bash(page: Path) -> None:
    for block in blocks_of(named(page)):
        subprocess.run(["bash", "-n"], input=block, text=True, check=True)


def commands(program: str) -> Iterator[tuple[str, list[str]]]:
    """Every command of a program in the shell blocks of all pages, with its page."""
    for page in pages():
        for block in blocks_of(named(page)):
            for line in block.replace("\\\n", " ").splitlines():
                yield from ((named(page), words[1:]) for words in split_line(line) if words[0] == program)


def split_line(line: str) -> Iterator[list[str]]:
    """The commands of a line, without variables that are set for one command."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    try:
        words = list(lexer)
    except ValueError:
        return  # the first or last line of a text of several lines
    for is_operator, command in itertools.groupby(words, lambda word: set(word) <= set("|&;<>")):
        named_alone = list(itertools.dropwhile(lambda word: "=" in word, command))
        if named_alone and not is_operator:
            yield named_alone


def test_every_nightshift_command_has_these_options() -> None:
    """--help ends a command once its options are understood."""
    found = list(commands("nightshift"))
    assert len(found) > 20
    for page, words in found:
        done = CliRunner().invoke(cli, [*words, "--help"])
        assert done.exit_code == 0, f"{page}: nightshift {' '.join(words)}\n{done.output}"


def test_every_make_target_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page, words in commands("make"):
        assert words[0] in targets, page


def test_every_aws_command_is_understood() -> None:
    for page, (service, operation, *words) in commands("aws"):
        if (service, operation) != ("logs", "tail"):
            assert read_call(service, operation, words), page


@pytest.mark.parametrize(
    "line",
    [
        "secretsmanager create-secrets --name a",
        "secretmanager create-secret --name a",
        "secretsmanager create-secret --secret a",
        "secretsmanager create-secret --secret-string a",
        "lambda invoke --function-name a",
        "lambda invoke --function-name a b c",
    ],
)
def test_a_wrong_aws_command_is_refused(line: str) -> None:
    service, operation, *words = shlex.split(line)
    with pytest.raises(NotUnderstood):
        read_call(service, operation, words)
