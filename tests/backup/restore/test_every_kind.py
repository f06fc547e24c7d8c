"""A database with an object of every kind: what came back and what `missing` names are together all that there was."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.backup.restore import every_kind
from tests.backup.restore.vault import Vault
from tests.backup.restore.walk import walk

LIST = Path(__file__).parents[3] / "docs" / "backup.md"

LARGE_OBJECT = "large objects (pg_dump --blobs saves them, as a superuser; docs/backup.md): 1"
ABSENT = [
    ("pg_largeobject", "", LARGE_OBJECT),
    ("pg_largeobject_metadata", "", LARGE_OBJECT),
    ("pg_description", '"large object 770077"', LARGE_OBJECT),
    ("pg_subscription", '"feed"', "subscriptions, which hold another server's password: feed"),
    ("pg_shseclabel", '"nobody"', "security labels of the database itself: nobody"),
    ("pg_proc", '"function pg_catalog.hidden()"', "pg_dump leaves out: function pg_catalog.hidden()"),
    ("pg_foreign_server", '"server far"', "passwords of other servers: server far (password)"),
    ("pg_user_mapping", '"user mapping torture_reader on', "user mapping torture_reader SERVER far (password)"),
    ("pg_seclabel", '"nobody"', "SECURITY LABEL FOR nobody ON TABLE app.empty"),
]
"""What cannot have come back: of which catalogue, known by what, and the words that name it."""

IN_PART = {"pg_foreign_server", "pg_user_mapping"}
"""Of these came back what is no password."""


@dataclass(frozen=True)
class Filled:
    """A database of everything, on a server of everything; `url` leads to it."""

    vault: Vault
    url: str

    @property
    def name(self) -> str:
        return self.url.rpartition("/")[2]

    def program(self, name: str, *options: str) -> str:
        """What one of PostgreSQL's programs prints."""
        command = [str(self.vault.postgres.psql_path.with_name(name)), *options]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    @property
    def version(self) -> int:
        return int(self.vault.sql("SHOW server_version_num")[0][0]) // 10_000


@pytest.fixture
def filled(vault: Vault) -> Iterator[Filled]:
    """In a database of its own, for such objects are no part of a schema that could be dropped."""
    made = Filled(vault, vault.another())
    vault.env["DATABASE_URL"] = made.url
    vault.sql(every_kind.SERVER)
    vault.sql(every_kind.SPACE)
    vault.postgres.execute(every_kind.HIDDEN + every_kind.ALL + every_kind.IN_SPACE, made.name)
    vault.postgres.execute(every_kind.DATABASE.format(name=made.name), made.name)
    yield made
    vault.postgres.execute("DROP SUBSCRIPTION feed", made.name)
    vault.sql("DELETE FROM pg_shseclabel WHERE provider = 'nobody'")
    for url in (made.url, vault.target):
        vault.postgres.drop_database(url.rpartition("/")[2])
    vault.sql("DROP TABLESPACE every_space")
    vault.sql("DROP OWNED BY every_member; DROP ROLE every_member")


def test_missing_and_restored_are_everything(filled: Filled) -> None:
    vault = filled.vault
    missing = vault.save()["missing"]
    before, rows = walk(vault.postgres, filled.name), vault.rows(filled.url)

    answer = vault.bring()

    after = walk(vault.postgres, vault.target.rpartition("/")[2])
    told = "\n".join([*missing, *answer["differences"]])
    lost = [(table, row) for table in before for row in (before[table] - after[table])]
    for table, row in lost:
        named = [words for where, part, words in ABSENT if where == table and part in row]
        assert named and all(words in told for words in named), (table, row, told)
    for where, part, _ in ABSENT:
        assert any(table == where and part in row for table, row in lost), f"{part} is no longer lost: {where}"
    assert {table for table in before if after[table] - before[table]} == IN_PART
    assert vault.rows(vault.target) == rows
    assert [one for one in answer["differences"] if "nobody" not in one and "security label" not in one] == []
    assert (answer["environment"], answer.get("but_for", [])) == ([], [])


def test_the_list_is_what_pg_dump_and_a_backup_know(filled: Filled) -> None:
    kinds = kinds_of(
        filled.program("pg_dump", "--create", *(["--statistics"] if filled.version >= 18 else []), filled.url)
    )
    filled.vault.save()

    where = listed()
    assert kinds - set(where) == set()
    if filled.version >= 18:
        assert {kind for kind in where if where[kind] != "server"} - kinds == {"BLOB"}
    schema = filled.vault.manifest()["schema"]["sql"]["key"]
    computed = {"MATERIALIZED VIEW DATA"}  # by a statement of the schema
    saved = kinds_of(filled.vault.object(schema).decode())
    assert saved == {kind for kind in kinds if where[kind] == "schema"} | computed


def test_the_list_is_what_pg_dumpall_knows(filled: Filled) -> None:
    said = filled.program("pg_dumpall", "--globals-only", "--no-role-passwords", "-d", filled.url)

    assert statements_of(said) == {kind for kind, where in listed().items() if where == "server"}


def kinds_of(sql: str) -> set[str]:
    """The kinds of objects in pg_dump's SQL."""
    return set(re.findall(r"^-- (?:Data for |Statistics for )?Name: .*; Type: (.*); Schema: ", sql, re.MULTILINE))


def statements_of(said: str) -> set[str]:
    """What pg_dumpall says of the server, by the first words of its statements."""
    found = set()
    for line in said.splitlines():
        words = line.split()
        if not words or words[0].startswith(("--", "\\")) or words[0] == "SET":
            continue
        if words[0] in ("GRANT", "REVOKE"):
            found.add(f"GRANT ON {words[words.index('ON') + 1]}" if "ON" in words else "GRANT role")
        else:
            found.add(" ".join(words[: 3 if words[1] == "ON" else 2]))
    return found


def listed() -> dict[str, str]:
    """docs/backup.md: where each kind is."""
    found = {}
    for line in LIST.read_text().splitlines():
        if line.startswith("| ") and line.count("|") == 4 and "`" in line.split("|")[2]:
            _, _, kinds, where, _ = line.split("|")
            found.update(dict.fromkeys(re.findall("`([^`]+)`", kinds), where.strip()))
    return found
