"""Bad settings, policies and events: one clear error that names the culprit, and nothing is written or deleted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from nightshift.errors import DatabaseUnavailable, InvalidEvent, InvalidSettings, NightshiftError, StoreError
from tests.support.handler import run_cleanup
from tests.support.house import AS_OF, House

PASSWORD = "hunter2-correct-horse"
NOWHERE = f"postgresql://app:{PASSWORD}@127.0.0.1:1/app"
"""Nobody listens on port 1."""


@dataclass(frozen=True)
class Bad:
    """One mistake.

    Attributes:
        error: what must be raised.
        named: what its text must name.
        env: settings on top of good ones; None removes one.
        event: in place of a good one.
        policies: text of the policy file.
    """

    error: type[NightshiftError]
    named: tuple[str, ...]
    env: dict[str, str | None] = field(default_factory=dict)
    event: Any = field(default_factory=lambda: {"scheduled_time": AS_OF})
    policies: str | None = None


def setting(named: str, *more: str, **env: str | None) -> Bad:
    return Bad(InvalidSettings, (named, *more), env=env)


def event(named: str, given: Any) -> Bad:
    return Bad(InvalidEvent, (named,), event=given)


def policy(named: str, text: str) -> Bad:
    return Bad(InvalidSettings, ("policies.toml", named), policies=text)


ENTRY = '[[retention]]\ntable = "conversation_log"\n'

MISTAKES = {
    # Retention
    "retention of 0 days": setting("LOG_RETENTION_DAYS", LOG_RETENTION_DAYS="0"),
    "retention of -1 days": setting("LOG_RETENTION_DAYS", LOG_RETENTION_DAYS="-1"),
    "retention in words": setting("LOG_RETENTION_DAYS", "integer", LOG_RETENTION_DAYS="thirty"),
    "retention of half a day": setting("LOG_RETENTION_DAYS", LOG_RETENTION_DAYS="0.5"),
    "retention longer than a calendar": setting("LOG_RETENTION_DAYS", LOG_RETENTION_DAYS="99999999999999999999"),
    # Other settings
    "no such zone": setting("TIMEZONE", "Asia/Seoul", TIMEZONE="Mars/Olympus"),
    "a zone that is a path": setting("TIMEZONE", TIMEZONE="../../etc/passwd"),
    "no bucket": setting("ARCHIVE_BUCKET", "not set", ARCHIVE_BUCKET=None),
    "an empty bucket name": setting("ARCHIVE_BUCKET", "not set", ARCHIVE_BUCKET=""),
    "a bucket name that is an address": setting("ARCHIVE_BUCKET", ARCHIVE_BUCKET="s3://my-bucket"),
    "a prefix with a space": setting("ARCHIVE_PREFIX", ARCHIVE_PREFIX="my archive"),
    "no such proof": setting("ARCHIVE_PROOF", "'full' or 'head'", ARCHIVE_PROOF="none"),
    "no workers": setting("CLEANUP_WORKERS", CLEANUP_WORKERS="0"),
    "no chunks": setting("CLEANUP_CHUNK_MB", CLEANUP_CHUNK_MB="0"),
    "more than all": setting("CLEANUP_MAX_SHARE", CLEANUP_MAX_SHARE="1.5"),
    "a share that is no number": setting("CLEANUP_MAX_SHARE", CLEANUP_MAX_SHARE="nan"),
    "neither on nor off": setting("CLEANUP_VACUUM", "on or off", CLEANUP_VACUUM="maybe"),
    "a language unspoken": setting("REPORT_LANGUAGE", REPORT_LANGUAGE="fr"),
    "Slack at no address": setting("SLACK_API_URL", SLACK_API_URL="slack"),
    "several at once": setting(
        "LOG_RETENTION_DAYS",
        *("TIMEZONE", "CLEANUP_WORKERS", "ARCHIVE_BUCKET"),
        LOG_RETENTION_DAYS="0",
        TIMEZONE="nowhere",
        CLEANUP_WORKERS="many",
        ARCHIVE_BUCKET="No_Bucket",
    ),
    # Database
    "another database": setting("DATABASE_URL", "mysql", DATABASE_URL=f"mysql://app:{PASSWORD}@db/app"),
    "no such TLS mode": setting("DATABASE_URL", "verify-full", DATABASE_URL=f"{NOWHERE}?sslmode=sometimes"),
    "an unknown parameter": setting("DATABASE_URL", "sslkey", DATABASE_URL=f"{NOWHERE}?sslkey=a.pem"),
    "no URL at all": setting("DATABASE_URL", "not a URL", DATABASE_URL=f"the database, {PASSWORD}"),
    "a port that is none": setting("DATABASE_URL", "not a URL", DATABASE_URL=f"postgresql://a:{PASSWORD}@db:many/a"),
    "a database in memory": setting("DATABASE_URL", "file", DATABASE_URL="sqlite://"),
    "a server that is not there": Bad(
        DatabaseUnavailable,
        ("127.0.0.1:1/app", "check DATABASE_URL, the security group, and that the server is up"),
        env={"DATABASE_URL": NOWHERE},
    ),
    "a host that nobody knows": Bad(
        DatabaseUnavailable,
        ("no-such-host.invalid", "in DATABASE_URL"),
        env={"DATABASE_URL": "postgresql://app@no-such-host.invalid/app"},
    ),
    "a file that is not there": Bad(
        DatabaseUnavailable,
        ("/nowhere/app.db", "set DATABASE_URL to the right file"),
        env={"DATABASE_URL": "sqlite:////nowhere/app.db"},
    ),
    # Policy file
    "no policy file": setting("NIGHTSHIFT_CONFIG", "/nowhere.toml", NIGHTSHIFT_CONFIG="/nowhere.toml"),
    "a policy file that is a directory": setting("NIGHTSHIFT_CONFIG", "/etc", NIGHTSHIFT_CONFIG="/etc"),
    "a policy file that is not in S3": Bad(
        StoreError, ("s3://none/a.toml",), env={"NIGHTSHIFT_CONFIG": "s3://none/a.toml"}
    ),
    "no TOML": policy("not TOML", "[[retention]\ntable ="),
    "no entries": policy("no [[retention]]", ""),
    "an unknown section": policy("deletion", '[deletion]\ntable = "conversation_log"'),
    "one entry, not a list": policy("[[retention]]", '[retention]\ntable = "conversation_log"'),
    "an unknown policy key": policy("keepdays: unknown key", ENTRY + "keepdays = 30"),
    "a policy without a table": policy("table", "[[retention]]\nkeep_days = 30"),
    "a policy that keeps 0 days": policy("keep_days", ENTRY + "keep_days = 0"),
    "a policy that keeps -1 days": policy("keep_days", ENTRY + "keep_days = -1"),
    "a policy that keeps text": policy("keep_days", ENTRY + 'keep_days = "30"'),
    "a policy that keeps yes": policy("keep_days", ENTRY + "keep_days = true"),
    "a policy in no zone": policy("timezone", ENTRY + 'timezone = "Moon"'),
    "a policy with an odd epoch": policy("epoch", ENTRY + 'epoch = "minutes"'),
    "a policy with a share of 0": policy("max_share", ENTRY + "max_share = 0.0"),
    "two policies for a table": policy("more than one policy", ENTRY + ENTRY),
    # Event
    "tomorrow": event("future", {"scheduled_time": "2999-01-01T00:00:00Z"}),
    "no zone": event("no time zone", {"scheduled_time": "2025-10-15T00:00:00"}),
    "a day": event("scheduled_time", {"scheduled_time": "2025-10-15"}),
    "a number": event("a number", {"scheduled_time": 1760486400}),
    "a number in text": event("scheduled_time", {"scheduled_time": "1760486400"}),
    "words": event("scheduled_time", {"scheduled_time": "yesterday"}),
    "before the calendar": event("out of range", {"scheduled_time": "0001-01-01T00:00:00+14:00"}),
    "an unknown key": event("dry-run: unknown key", {"dry-run": True}),
    "a switch in text": event("dry_run", {"dry_run": "true"}),
    "a switch in numbers": event("force", {"force": 1}),
    "a list": event("not a JSON object", [{"dry_run": True}]),
    "a text": event("not a JSON object", "dry_run"),
    "another number": event("not a JSON object", 30),
    "a rule's envelope with an unknown key": event(
        "keep_days", {"detail-type": "Scheduled Event", "time": AS_OF, "detail": {"keep_days": 1}}
    ),
    "a request without JSON": event("not JSON", {"requestContext": {}, "body": "dry_run=true"}),
    "a request that lists": event("not a JSON object", {"requestContext": {}, "body": "[]"}),
}


def test_there_are_enough() -> None:
    assert len(MISTAKES) >= 20


@pytest.fixture
def filled(sqlite_house: House) -> House:
    """A deployment with a due row that a run would take."""
    sqlite_house.sql("CREATE TABLE conversation_log (id INTEGER PRIMARY KEY, created_at DATETIME)")
    sqlite_house.sql("INSERT INTO conversation_log VALUES (1, '2020-01-01 00:00:00')")
    return sqlite_house


@pytest.mark.fast_cases(30)
@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake(filled: House, mistake: Bad, caplog: pytest.LogCaptureFixture) -> None:
    house, url = filled, filled.url
    if mistake.policies is not None:
        house.policies(mistake.policies)
    env = {name: value for name, value in {**house.env, **mistake.env}.items() if value is not None}
    before = house.state()

    with pytest.raises(mistake.error) as raised:
        run_cleanup(env, mistake.event)

    text = str(raised.value)
    for part in mistake.named:
        assert part in text
    told = text + caplog.text + "".join(message.seen for message in house.slack.messages)
    assert PASSWORD not in told
    assert "run failed" in caplog.text
    assert house.url == url and house.state() == before
    assert [run["status"] for run in house.runs()] in ([], ["failed"])
    if mistake.error is InvalidEvent:
        assert mistake.named[0].split(":")[0] in house.slack.messages[0].seen


def test_what_was_corrected_runs(filled: House) -> None:
    """The deployment of these tests is sound: without a mistake it archives."""
    assert filled.run()["status"] == "ok"
    assert set(filled.archived_days("conversation_log")) == {1}
