"""Passwords of other servers are in no object of a backup; what is left out is named, and all else comes back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.backup.restore.vault import Vault

SECRETS = ("s3cret", "hunter2", "t0ken", "pass'word", "back\\slash", "letmein", "k3y")

FOREIGN = r"""
CREATE FOREIGN DATA WRAPPER plain OPTIONS (library 'x', auth_token 't0ken');
CREATE SERVER files FOREIGN DATA WRAPPER plain OPTIONS (host 'files.example.com', note 'OPTIONS (a ''b'')');
CREATE SERVER "the other" TYPE 'odd' VERSION '7' FOREIGN DATA WRAPPER plain
  OPTIONS (url 'https://app:letmein@other.example.com/x', port '5432', "Pass Phrase" 's3cret');
CREATE USER MAPPING FOR torture_reader SERVER files
  OPTIONS (user 'bob', password 'pass''word', sslpassword E'back\\slash');
CREATE USER MAPPING FOR PUBLIC SERVER "the other" OPTIONS (anything 'hunter2');
CREATE USER MAPPING FOR torture_owner SERVER "the other" OPTIONS (username 'carol');
CREATE FOREIGN TABLE far (a int OPTIONS (column_name 'b', key 'true'), c text DEFAULT 'OPTIONS (x ''y'')') SERVER files
  OPTIONS (path '/x', api_key 'k3y');
CREATE TABLE t (a int); INSERT INTO t VALUES (1)
"""

LEFT_OUT = {
    "foreign data wrapper plain (auth_token)",
    'server the other ("Pass Phrase", url)',
    "user mapping torture_reader SERVER files (password, sslpassword)",
    "user mapping public SERVER the other (anything)",
    "foreign table far (api_key)",
}


@pytest.fixture
def foreign(vault: Vault) -> Iterator[Vault]:
    """A foreign-data wrapper is in no schema, and would stay."""
    yield vault
    vault.sql("DROP FOREIGN DATA WRAPPER plain CASCADE")


def test_passwords_of_other_servers(foreign: Vault) -> None:
    foreign.sql(FOREIGN)
    answer = foreign.save()

    for key in foreign.house.s3.keys(foreign.house.bucket):
        body = foreign.house.s3.client().get_object(Bucket=foreign.house.bucket, Key=key)["Body"].read()
        assert [secret for secret in SECRETS if secret.encode() in body] == [], key
    (said,) = [one for one in answer["missing"] if one.startswith("passwords of other servers: ")]
    assert set(said.partition(": ")[2].split("; ")) == LEFT_OUT
    assert "passwords of other servers" in foreign.house.slack.messages[-1].seen

    brought = foreign.bring()

    assert (brought["status"], brought["differences"]) == ("ok", [])
    assert any("passwords of other servers" in one for one in brought["warnings"])
    name = foreign.target.rpartition("/")[2]
    options = foreign.postgres.execute(
        "SELECT srvname, srvoptions::text FROM pg_foreign_server UNION ALL SELECT usename, umoptions::text"
        " FROM pg_user_mappings UNION ALL SELECT ftrelid::regclass::text, ftoptions::text FROM pg_foreign_table"
        " UNION ALL SELECT attname, attfdwoptions::text FROM pg_attribute WHERE attfdwoptions IS NOT NULL ORDER BY 1",
        name,
    )
    assert {str(row[0]): row[1] for row in options} == {
        "files": """{host=files.example.com,"note=OPTIONS (a 'b')"}""",
        "the other": "{port=5432}",
        "torture_reader": "{user=bob}",
        "public": None,
        "torture_owner": "{username=carol}",
        "far": "{path=/x}",
        "a": "{column_name=b,key=true}",
    }


def test_nothing_is_said_where_there_are_none(foreign: Vault) -> None:
    foreign.sql("CREATE FOREIGN DATA WRAPPER plain; CREATE SERVER s FOREIGN DATA WRAPPER plain OPTIONS (host 'h')")
    foreign.sql("CREATE USER MAPPING FOR PUBLIC SERVER s OPTIONS (user 'bob')")

    assert "missing" not in foreign.save()
