"""Secrets and policies from where they are kept: Secrets Manager, SSM, S3; on a server that holds all three."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import boto3
import pytest
from aws_lambda_powertools.utilities import parameters

from local.loopback import REGION
from local.s3 import EmbeddedS3
from nightshift import secrets
from nightshift.backup.targets import rehearsal_database, restore_target
from nightshift.database.connect import Database
from nightshift.database.url import parse_database_url
from nightshift.errors import InvalidSettings, NightshiftError, SecretUnavailable
from nightshift.settings import Settings
from tests.support.house import SLACK_TOKEN, House

PASSWORD = "p@ss/w:rd%?#&='\" 한"

Keep = Callable[[Any], str]


@pytest.fixture
def aws(s3: EmbeddedS3, sqlite_house: House, monkeypatch: pytest.MonkeyPatch) -> Iterator[boto3.Session]:
    """A session on the server; nothing read before is remembered."""
    for name, value in s3.env.items():
        monkeypatch.setenv(name, value)
    parameters.clear_caches()  # type: ignore[no-untyped-call]
    yield boto3.Session(aws_access_key_id="testing", aws_secret_access_key="testing", region_name=REGION)
    parameters.clear_caches()  # type: ignore[no-untyped-call]
    s3.reset()


@pytest.fixture
def keep(aws: boto3.Session, s3: EmbeddedS3) -> Keep:
    """Puts a value into Secrets Manager; returns its ARN."""
    client = aws.client("secretsmanager", endpoint_url=s3.endpoint)

    def put(value: Any) -> str:
        text = value if isinstance(value, str) else json.dumps(value)
        return str(client.create_secret(Name=f"secret-{len(text)}-{hash(text)}", SecretString=text)["ARN"])

    return put


RDS = {
    "username": "app",
    "password": PASSWORD,
    "host": "db.example",
    "port": 6432,
    "dbname": "main",
    "engine": "postgres",
}


def database(arn: str) -> Any:
    settings = Settings.from_env({"DATABASE_SECRET_ARN": arn})
    return parse_database_url(secrets.database_url(settings).get_secret_value())


def test_a_database_secret_as_rds_writes_it(keep: Keep) -> None:
    target = database(keep({**RDS, "sslmode": "verify-full", "sslrootcert": "/opt/ca.pem"}))

    assert (target.host, target.port, target.user, target.database) == ("db.example", 6432, "app", "main")
    assert target.password() == PASSWORD
    assert (target.tls, target.root_cert) == ("verify-full", "/opt/ca.pem")


@pytest.mark.parametrize(
    "value",
    [
        "postgresql://app:pw@db.example/main",
        " postgresql://app:pw@db.example/main\n",
        {"url": "postgresql://app:pw@db.example/main"},
    ],
    ids=["plain", "with blanks", "url"],
)
def test_a_database_secret_that_is_a_url(keep: Keep, value: Any) -> None:
    target = database(keep(value))

    assert (target.host, target.database, target.password()) == ("db.example", "main", "pw")


def test_what_a_database_secret_may_leave_out(keep: Keep) -> None:
    target = database(keep({"username": "app", "password": "pw", "host": "db.example"}))

    assert (target.port, target.database) == (5432, "app")


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ({"username": "app", "password": PASSWORD}, "lacks host"),
        ({"host": "db.example", "token": PASSWORD}, "lacks username, password"),
        ('{"password": "' + "hunter2-" + '", broken', "neither a plain value nor JSON"),
    ],
)
def test_a_database_secret_of_no_use(keep: Keep, value: Any, named: str) -> None:
    with pytest.raises(SecretUnavailable) as raised:
        database(keep(value))

    assert named in str(raised.value.detail)
    assert "for a database the JSON that RDS writes" in str(raised.value.hint)
    assert PASSWORD not in str(raised.value) and "hunter2" not in str(raised.value)


def test_a_secret_that_is_not_there(aws: boto3.Session) -> None:
    with pytest.raises(SecretUnavailable) as raised:
        database("arn:aws:secretsmanager:ap-northeast-2:123456789012:secret:nowhere")

    assert "DATABASE_SECRET_ARN" in str(raised.value.detail) and "secret:nowhere" in str(raised.value.detail)
    assert raised.value.message == "Secrets Manager has no such value"
    assert "can't find the specified secret" in str(raised.value.detail)
    assert "correct the name or ARN" in str(raised.value.hint)


def test_a_run_on_nothing_but_secrets(keep: Keep, house: House, s3: EmbeddedS3) -> None:
    """Database and Slack both from Secrets Manager; the environment knows neither."""
    # `s3.reset()` forgets the bucket of this house only once the test is over.
    house.sql(
        "CREATE TABLE conversation_log (id int, created_at timestamptz);"
        "INSERT INTO conversation_log VALUES (1, '2025-01-01')"
    )
    user, port = "postgres", house.url.split(":")[-1].split("/")[0]
    house.env["DATABASE_SECRET_ARN"] = keep(
        {"username": user, "password": PASSWORD, "host": "127.0.0.1", "port": int(port), "dbname": house.database}
    )
    house.env["SLACK_SECRET_ARN"] = keep({"token": SLACK_TOKEN})
    for name in ("DATABASE_URL", "SLACK_BOT_TOKEN"):
        del house.env[name]

    assert house.run_table()["archived_rows"] == 1
    assert len(house.slack.messages) == 1


@pytest.mark.parametrize("name", ["RESTORE", "REHEARSE"])
def test_the_other_databases_come_by_secrets_too(keep: Keep, sqlite_house: House, name: str) -> None:
    """The secret goes before the URL; what is wrong with either names its own variable, and quotes nothing."""
    at = "127.0.0.1:5432/empty"

    def target(secret: Any) -> Any:
        arn = secret if str(secret).startswith("arn:") else keep(secret)
        given = {f"{name}_DATABASE_SECRET_ARN": arn, f"{name}_DATABASE_URL": "postgresql://other@nowhere/x"}
        settings = Settings.from_env(given)
        if name == "RESTORE":
            return restore_target(settings)
        with closing(Database(parse_database_url("sqlite:///x"), deadline=0)) as own:
            return rehearsal_database(settings, own).target

    for secret in (f"postgresql://app:hunter2@{at}", {**RDS, "host": "127.0.0.1", "port": 5432, "dbname": "empty"}):
        found = target(secret)
        assert (found.user, f"{found.host}:{found.port}/{found.database}") == ("app", at)
    for wrong, named in (
        ({"username": "app", "password": PASSWORD}, "lacks host"),
        ("mysql://app:hunter2@h/d", f"{name}_DATABASE_URL"),
        ("arn:aws:secretsmanager:ap-northeast-2:123456789012:secret:nowhere", f"{name}_DATABASE_SECRET_ARN"),
    ):
        with pytest.raises(NightshiftError) as raised:
            target(wrong)
        assert named in str(raised.value) and "hunter2" not in str(raised.value) and PASSWORD not in str(raised.value)


@pytest.mark.parametrize(
    "value", ["xoxb-1", " xoxb-1\n", {"token": "xoxb-1"}, {"SLACK_BOT_TOKEN": "xoxb-1", "other": 2}]
)
def test_slack_secrets(keep: Keep, value: Any) -> None:
    token = secrets.slack_token(Settings.from_env({"SLACK_SECRET_ARN": keep(value)}))

    assert token is not None and token.get_secret_value() == "xoxb-1"
    assert "xoxb" not in repr(token)


def test_a_slack_secret_of_no_use_does_not_stop_the_archive(
    keep: Keep, sqlite_house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house = sqlite_house
    house.sql("CREATE TABLE conversation_log (id INTEGER PRIMARY KEY, created_at DATETIME)")
    house.sql("INSERT INTO conversation_log VALUES (1, '2025-01-01')")
    house.env["SLACK_SECRET_ARN"] = keep({"channel": "#x"})

    assert house.run()["status"] == "ok"
    assert house.slack.messages == []
    assert "Slack was not told" in caplog.text


POLICIES = '[[retention]]\ntable = "log"\nkeep_days = 7\ntimezone = "UTC"\n'


@pytest.mark.parametrize("kind", ["String", "SecureString"])
def test_policies_in_ssm(aws: boto3.Session, s3: EmbeddedS3, sqlite_house: House, kind: Any) -> None:
    client = aws.client("ssm", endpoint_url=s3.endpoint)
    client.put_parameter(Name="/nightshift/policies", Value=POLICIES, Type=kind)
    assert_policies_count(sqlite_house, "ssm:/nightshift/policies")


def test_policies_in_s3(aws: boto3.Session, s3: EmbeddedS3, sqlite_house: House) -> None:
    s3.client().put_object(Bucket=sqlite_house.bucket, Key="etc/policies.toml", Body=POLICIES.encode())
    assert_policies_count(sqlite_house, f"s3://{sqlite_house.bucket}/etc/policies.toml")


def assert_policies_count(house: House, source: str) -> None:
    """A run by the policies that lie there."""
    house.sql("CREATE TABLE log (id INTEGER PRIMARY KEY, created_at DATETIME)")
    house.env["NIGHTSHIFT_CONFIG"] = source

    table = house.run_table()

    assert (table["table"], table["cutoff"]) == ("log", "2025-10-08T00:00:00+00:00")


@pytest.mark.parametrize(
    ("source", "error", "named"),
    [
        ("ssm:/nowhere", SecretUnavailable, "/nowhere"),
        ("s3://nowhere-at-all/policies.toml", NightshiftError, "s3://nowhere-at-all/policies.toml"),
        ("s3://{bucket}/nothing.toml", NightshiftError, "nothing.toml"),
        ("/nowhere/policies.toml", InvalidSettings, "/nowhere/policies.toml"),
    ],
)
def test_policies_that_are_not_there(
    aws: boto3.Session, sqlite_house: House, source: str, error: type[NightshiftError], named: str
) -> None:
    sqlite_house.env["NIGHTSHIFT_CONFIG"] = source.format(bucket=sqlite_house.bucket)

    with pytest.raises(error) as raised:
        sqlite_house.run()

    assert named in str(raised.value.detail)
