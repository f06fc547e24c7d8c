"""A database's own properties come back where that can be, and are told where it cannot."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.backup.restore.vault import Vault

FACTS = """
SELECT pg_get_userbyid(datdba), shobj_description(oid, 'pg_database'), datconnlimit, datistemplate,
  (SELECT string_agg(a::text, ' ' ORDER BY a::text)
   FROM unnest(coalesce(datacl, acldefault('d', datdba))) a)
FROM pg_database WHERE datname = '{name}'
"""
COMMENT = "it''s 100 % \\ ours, 한국어"


def facts(vault: Vault, url: str) -> tuple[Any, ...]:
    return vault.sql(FACTS.format(name=url.rpartition("/")[2]))[0]


@pytest.fixture
def owned(vault: Vault) -> Iterator[Vault]:
    """A database of an application's, closed to the public."""
    vault.env["DATABASE_URL"] = source = vault.another()
    name = source.rpartition("/")[2]
    vault.postgres.execute("CREATE TABLE t (a int); INSERT INTO t VALUES (1)", name)
    vault.sql('CREATE ROLE keeper; CREATE ROLE "Odd r"; CREATE ROLE clerk LOGIN CREATEDB')
    vault.sql(f"ALTER DATABASE {name} OWNER TO keeper; COMMENT ON DATABASE {name} IS '{COMMENT}'")
    vault.sql(f"ALTER DATABASE {name} CONNECTION LIMIT 77; REVOKE ALL ON DATABASE {name} FROM PUBLIC")
    vault.sql(
        f'GRANT CONNECT ON DATABASE {name} TO "Odd r"; GRANT CREATE ON DATABASE {name} TO clerk WITH GRANT OPTION'
    )
    yield vault
    for database in vault.made:
        vault.postgres.drop_database(database)
    for role in ("keeper", '"Odd r"', "clerk"):
        vault.sql(f"DROP ROLE IF EXISTS {role}")


def test_it_becomes_what_it_was(owned: Vault) -> None:
    owned.save()
    owned.sql(f'GRANT TEMPORARY ON DATABASE {owned.target.rpartition("/")[2]} TO "Odd r"')

    answer = owned.bring()

    assert (answer["status"], answer["environment"]) == ("ok", [])
    assert facts(owned, owned.target) == facts(owned, owned.env["DATABASE_URL"])
    assert facts(owned, owned.target)[:3] == ("keeper", COMMENT.replace("''", "'"), 77)


def test_what_is_by_default_comes_back_as_well(vault: Vault) -> None:
    vault.save()
    vault.sql(f"REVOKE ALL ON DATABASE {vault.target.rpartition('/')[2]} FROM PUBLIC")

    assert vault.bring()["environment"] == []

    assert facts(vault, vault.target)[4] == "=Tc/postgres postgres=CTc/postgres"


def test_owners_can_be_left_out(owned: Vault) -> None:
    owned.save()

    assert owned.bring(owners=False)["status"] == "ok"

    found = facts(owned, owned.target)
    assert (found[0], found[1:3]) == ("postgres", facts(owned, owned.env["DATABASE_URL"])[1:3])
    assert found[4] == "=Tc/postgres postgres=CTc/postgres"


def test_roles_that_are_gone(owned: Vault) -> None:
    owned.save()
    name = owned.env["DATABASE_URL"].rpartition("/")[2]
    owned.sql(f'ALTER DATABASE {name} OWNER TO postgres; REVOKE ALL ON DATABASE {name} FROM clerk, "Odd r"')
    owned.sql('DROP ROLE keeper; DROP ROLE "Odd r"')

    answer = owned.bring()

    assert answer["status"] == "ok"
    assert [one for one in answer["environment"] if "the database" in one] == [
        "the database's owner was keeper: there is no such role",
        "grants on the database to roles that do not exist: Odd r",
    ]
    assert facts(owned, owned.target)[4] == "clerk=C*/postgres postgres=CTc/postgres"


def test_a_role_that_may_not_give_it_away(owned: Vault) -> None:
    """It owns the new database and nothing else: it may close it, and cannot give it to somebody."""
    owned.save()
    name = owned.target.rpartition("/")[2]
    owned.sql(f"ALTER DATABASE {name} OWNER TO clerk")
    owned.target = owned.target.replace("postgres@", "clerk@")

    answer = owned.bring()

    (said,) = [one for one in answer["environment"] if "database's owner" in one]
    assert f'ALTER DATABASE "{name}" OWNER TO "keeper"' in said and "(must be " in said
    assert facts(owned, owned.target)[1:3] == facts(owned, owned.env["DATABASE_URL"])[1:3]
    assert "=Tc/" not in facts(owned, owned.target)[4].split()


def test_a_role_that_owns_nothing(owned: Vault) -> None:
    owned.save()
    name = owned.target.rpartition("/")[2]
    owned.postgres.execute("GRANT ALL ON SCHEMA public TO clerk", name)
    owned.target = owned.target.replace("postgres@", "clerk@")

    environment = "\n".join(owned.bring()["environment"])

    for what, statement in {
        "comment": f'COMMENT ON DATABASE "{name}" IS',
        "connection limit": f'ALTER DATABASE "{name}" CONNECTION LIMIT 77',
        "owner, keeper,": f'ALTER DATABASE "{name}" OWNER TO "keeper"',
        "grants": f'REVOKE ALL ON DATABASE "{name}" FROM PUBLIC; GRANT',
    }.items():
        assert f"the database's {what} did not come back" in environment and statement in environment
    assert facts(owned, owned.target)[4] == "=Tc/postgres postgres=CTc/postgres"


def test_a_rehearsal_opens_its_database_to_nobody(owned: Vault) -> None:
    name = owned.env["DATABASE_URL"].rpartition("/")[2]
    owned.sql(f"GRANT CONNECT ON DATABASE {name} TO PUBLIC; ALTER DATABASE {name} CONNECTION LIMIT 0")
    owned.save()
    owned.env["REHEARSE_WITH_OWN_RIGHTS"] = "on"

    answer = owned.rehearse()

    assert (answer["proven"], answer["differences"]) == (True, [])
    assert not [one for one in answer["environment"] if "the database's" in one]


def test_a_database_that_is_in_use_keeps_its_own(owned: Vault) -> None:
    owned.save()
    owned.postgres.execute("CREATE TABLE theirs (a int)", owned.target.rpartition("/")[2])
    before = facts(owned, owned.target)

    answer = owned.bring(into_existing=True)

    assert (answer["status"], answer["environment"]) == ("ok", [])
    assert facts(owned, owned.target) == before


def test_another_collation_and_other_versions_are_told(vault: Vault) -> None:
    vault.save()
    manifest = vault.manifest()
    properties = manifest["properties"]
    (extension,) = (one for one in properties["extensions"] if one["name"] == "plpgsql")
    extension["version"] = "0.0.1"
    properties.update(collate="de_DE.utf8", ctype="de_DE.utf8", provider="i", locale="de-DE", rules="&a < b")
    vault.forge(manifest)

    answer = vault.bring()

    collation, version = answer["environment"]
    assert "collation is C, and was de_DE.utf8, ICU de-DE, rules &a < b" in collation
    assert "LC_COLLATE 'de_DE.utf8' LC_CTYPE 'de_DE.utf8' LOCALE_PROVIDER icu ICU_LOCALE 'de-DE'" in collation
    assert version.startswith("the extension plpgsql is of version ") and version.endswith("and was of 0.0.1")


def test_a_backup_of_an_older_version_knows_nothing_of_it(owned: Vault) -> None:
    owned.save()
    manifest = owned.manifest()
    del manifest["properties"]
    owned.forge(manifest)

    assert owned.bring()["environment"] == []

    assert facts(owned, owned.target)[0] == "postgres"


EXTENSION = """
CREATE TABLE part_config (name text PRIMARY KEY, ours bool DEFAULT false);
INSERT INTO part_config VALUES ('given', true);
CREATE SEQUENCE part_number; CREATE TABLE part_untouched (a int); CREATE TABLE part_closed (a int);
CREATE TABLE part_split (a int) PARTITION BY LIST (a); CREATE TABLE part_split_1 PARTITION OF part_split DEFAULT;
SELECT pg_catalog.pg_extension_config_dump('part_config', 'WHERE NOT ours');
SELECT pg_catalog.pg_extension_config_dump('part_number', '');
SELECT pg_catalog.pg_extension_config_dump('part_untouched', '');
SELECT pg_catalog.pg_extension_config_dump('part_closed', '');
SELECT pg_catalog.pg_extension_config_dump('part_split', '');
"""


@pytest.fixture
def public_path() -> Iterator[Path]:
    """A directory that the server's user can read."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory)
        path.chmod(0o755)
        yield path


def test_what_was_added_to_tables_of_extensions(vault: Vault, public_path: Path) -> None:
    """As PostGIS and pg_partman have them: rows of users, a position, tables that are as they came, or closed."""
    if not vault.sql("SELECT 1 FROM pg_settings WHERE name = 'extension_control_path'"):
        pytest.skip("PostgreSQL 18 is the first that takes extensions from elsewhere")
    place = public_path / "extension"
    place.mkdir()
    (place / "parts.control").write_text("default_version = '1'\nsuperuser = false\n")
    (place / "parts--1.sql").write_text(EXTENSION)
    vault.sql(f"SET extension_control_path = '$system:{public_path}'; CREATE EXTENSION parts")
    assert "missing" not in vault.save()
    vault.sql("INSERT INTO part_config VALUES ('added'), ('too'); INSERT INTO part_split VALUES (7);")
    vault.sql("SELECT nextval('part_number'); CREATE ROLE clerk LOGIN; GRANT ALL ON SCHEMA public TO clerk")
    vault.sql("GRANT ALL ON ALL TABLES IN SCHEMA public TO clerk; REVOKE ALL ON part_closed FROM clerk")
    vault.sql("GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO clerk")
    vault.env.update(DATABASE_URL=vault.house.url.replace("postgres@", "clerk@"), BACKUP_PREFIX="second")
    try:
        missing = vault.save()["missing"]
    finally:
        vault.sql("DROP OWNED BY clerk; DROP ROLE clerk")

    assert missing == [
        "what was added to public.part_closed of the extension parts, which may not be read",
        "rows that were added to public.part_config, a table of the extension parts: 2",
        "the position of public.part_number, a sequence of the extension parts",
        "rows that were added to public.part_split, a table of the extension parts: 1",
    ]
