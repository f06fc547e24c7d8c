"""RDS IAM tokens take a password's place, anew for every connection, on both planes; a refusal shows none of them."""

from __future__ import annotations

import time
from itertools import count
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest

from nightshift.database.connect import Database
from nightshift.database.url import parse_database_url
from nightshift.errors import DatabaseUnavailable, SecretUnavailable
from nightshift.rows.postgres import PostgresConnection
from tests.support.house import House
from tests.support.login import LoginRecorder


def test_the_password_is_asked_for_at_every_connect() -> None:
    with LoginRecorder() as server:
        numbers = count(1)
        target = parse_database_url(
            f"postgresql://app:never@127.0.0.1:{server.port}/app", password=lambda: f"token {next(numbers)}"
        )
        database = Database(target, deadline=time.monotonic() + 60)
        for _ in range(2):
            with pytest.raises(DatabaseUnavailable) as control, database.connect():
                pass
            with pytest.raises(DatabaseUnavailable) as data:
                PostgresConnection(target)
            assert "token" not in str(control.value) + str(data.value)

        assert server.passwords == ["token 1", "token 2", "token 3", "token 4"]


def test_an_iam_token_is_the_password(sqlite_house: House) -> None:
    env = sqlite_house.env
    with LoginRecorder() as server:
        env |= {"DATABASE_URL": f"postgresql://app:never@127.0.0.1:{server.port}/main", "DATABASE_IAM_AUTH": "on"}
        with pytest.raises(DatabaseUnavailable) as raised:
            sqlite_house.run()

        (token,) = server.passwords
    assert token.startswith("127.0.0.1:")
    query = parse_qs(urlsplit(f"https://{token}").query)
    assert query["Action"] == ["connect"] and query["DBUser"] == ["app"]
    assert query["X-Amz-Expires"] == ["900"] and query["X-Amz-Signature"]
    assert "X-Amz" not in str(raised.value)


def test_without_credentials_there_is_no_token(sqlite_house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it would remember those of an earlier test
    env = sqlite_house.env
    env |= {"DATABASE_URL": "postgresql://app@127.0.0.1:1/main", "DATABASE_IAM_AUTH": "on"}
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        del env[name]

    with pytest.raises(SecretUnavailable, match="IAM token") as raised:
        sqlite_house.run()
    assert "give credentials: AWS_PROFILE, AWS_ACCESS_KEY_ID and" in str(raised.value.hint)


def test_a_wrong_password_is_told_without_it(sqlite_house: House) -> None:
    with LoginRecorder() as server:
        sqlite_house.env["DATABASE_URL"] = f"postgresql://app:hunter2@127.0.0.1:{server.port}/main"
        with pytest.raises(DatabaseUnavailable) as raised:
            sqlite_house.run()

    assert "password authentication failed" in str(raised.value.detail)
    assert "hunter2" not in str(raised.value)
    assert "hunter2" not in sqlite_house.slack.messages[0].seen
