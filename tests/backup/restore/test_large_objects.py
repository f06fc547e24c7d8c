"""Large objects: none is in a backup, whoever may read it; the backup says so, and docs/backup.md how to save them."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.backup.restore.vault import Vault
from tests.support.house import guest

__all__ = ["guest"]

DOCUMENT = Path(__file__).parents[3] / "docs" / "backup.md"
SAID = "large objects (pg_dump --blobs saves them, as a superuser; docs/backup.md): 4"

MADE = """
CREATE TABLE t (a int PRIMARY KEY, doc oid); INSERT INTO t VALUES (1, 4711), (2, 4712), (3, 4713), (4, 4714);
SELECT lo_from_bytea(n, CAST('content ' || n AS bytea)) FROM generate_series(4711, 4714) n;
ALTER LARGE OBJECT 4711 OWNER TO keeper; COMMENT ON LARGE OBJECT 4711 IS 'of another role, closed to all';
GRANT SELECT ON LARGE OBJECT 4712 TO guest; ALTER LARGE OBJECT 4713 OWNER TO guest; GRANT SELECT ON t TO guest;
CREATE TABLE "4714 BLOB - LARGE OBJECT" (a int); INSERT INTO "4714 BLOB - LARGE OBJECT" VALUES (1);
GRANT SELECT ON "4714 BLOB - LARGE OBJECT" TO guest
"""
"""One of another role, one that may be read, an own one, and a superuser's."""

CONTENTS = """
SELECT m.oid, m.lomowner, CAST(m.lomacl AS text), obj_description(m.oid, 'pg_largeobject'), lo_get(m.oid)
FROM pg_largeobject_metadata m ORDER BY 1
"""


@pytest.fixture
def filled(vault: Vault, guest: str) -> Iterator[Vault]:
    """A deployment whose role is no superuser, and a database with large objects of several roles."""
    vault.sql("CREATE ROLE keeper")
    vault.sql(MADE)
    vault.env["DATABASE_URL"] = vault.house.url.replace("postgres@", f"{guest}@")
    yield vault
    vault.postgres.drop_database(vault.target.rpartition("/")[2])
    vault.sql("SELECT lo_unlink(oid) FROM pg_largeobject_metadata; DROP OWNED BY keeper; DROP ROLE keeper")


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize(
    "right",
    ["ALTER ROLE guest CREATEDB", "GRANT pg_read_all_data TO guest", "ALTER ROLE guest SET lo_compat_privileges = on"],
)
def test_what_may_be_read_makes_no_difference(filled: Vault, right: str) -> None:
    """pg_read_all_data does not reach large objects; lo_compat_privileges opens all of them."""
    filled.sql(right)

    answer = filled.save()

    assert (answer["missing"][0], answer["unsaved"]) == (SAID, 0)
    (message,) = filled.house.slack.messages
    assert SAID in message.seen
    rows = {entry["name"]: entry["rows"] for entry in filled.manifest()["tables"]}
    assert (rows["t"], rows["4714 BLOB - LARGE OBJECT"]) == (4, 1)
    assert filled.manifest()["schema"]["dump"] is not None


def test_the_document_says_how_they_are_saved(filled: Vault, tmp_path: Path) -> None:
    """Its commands, beside a restore: afterwards the numbers in the table name the same contents again."""
    filled.save()
    restored = filled.bring()
    assert SAID in "\n".join(restored["warnings"]) and restored["rows"] >= 5, restored
    (commands,) = re.findall(r"```bash\n(pg_dump .*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    environment = {
        "PATH": f"{filled.postgres.psql_path.parent}:{os.defpath}",
        "DATABASE_URL": filled.house.url,
        "RESTORE_DATABASE_URL": filled.target,
    }

    subprocess.run(["/bin/sh", "-euc", commands], env=environment, cwd=tmp_path, check=True)

    before = filled.sql(CONTENTS)
    after = filled.postgres.execute(CONTENTS, filled.target.rpartition("/")[2])
    assert after == [tuple(row) for row in before] and len(after) == 4
    (rows,) = filled.postgres.execute(
        'SELECT count(*) FROM "4714 BLOB - LARGE OBJECT"', filled.target.rpartition("/")[2]
    )
    assert rows == (1,), "of tables nothing is restored twice"
