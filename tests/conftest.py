"""Real servers for every test: one PostgreSQL and one S3 per worker, a fresh database and bucket per test."""

from __future__ import annotations

import gc
import os
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from local.artefact import describe
from local.postgres import DISPOSABLE, EmbeddedPostgres
from local.s3 import EmbeddedS3
from local.slack import CHANNEL, SlackServer
from tests.support.fast_cases import mark_slow_cases
from tests.support.reading_once import read_once

POSTGRES_VERSION = int(os.environ.get("NIGHTSHIFT_TEST_POSTGRES", "18"))
"""16 or 18: which server the tests run against."""

SLACK_TOKEN = "xoxb-test"

FOREIGN_PREFIXES = (
    *("AWS_", "ARCHIVE_", "BACKUP_", "CLEANUP_", "DATABASE_", "EMBED", "EVENT_BUS", "EXPIRE_", "FEEDBACK_", "LOG_"),
    *("NIGHTSHIFT_", "PG", "POWERTOOLS_", "REHEARSE_", "RESTORE_", "SLACK_"),
)
FOREIGN_NAMES = ("TIMEZONE", "REPORT_LANGUAGE", "TZ")


def pytest_configure(config: pytest.Config) -> None:
    # A shell starts what runs in the background with SIGINT ignored, and so do all its children: none would end on it.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # pg8000 drops its socket unclosed where the server vanishes during log-in or close; no harm, but not ours to mend.
    config.addinivalue_line("filterwarnings", "ignore:unclosed <socket:ResourceWarning")
    read_once()
    # A slow machine is no wrong answer: hypothesis would fail what takes 200 ms.
    hypothesis.settings.register_profile("patient", deadline=None)
    hypothesis.settings.load_profile("patient")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Twice the cores: a test waits for servers, locks and clocks a good part of its time."""
    return min(2 * (os.cpu_count() or 1), 4)


def pytest_report_header() -> str:
    return f"functions run from {describe()}"


MUCH = 500 << 20
"""Bytes that tests may leave behind before they are collected, which takes a second or two."""

LONGEST = (
    *("tests/restore/test_types.py", "tests/handlers/test_artefact.py", "tests/local/test_demo.py"),
    *("tests/template/test_permissions.py", "tests/handlers/test_adversity.py"),
)
"""Files that take so long that they must not begin last: the other workers would wait for them."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))
    mark_slow_cases(items, complete=not any("::" in argument for argument in config.args))


@pytest.fixture(autouse=True, scope="module")
def tidy_memory(memory_limit: list[int]) -> Iterator[None]:
    """Collect what tests have left, once it is much. A run sets all that is in memory aside for good
    (`run_services.s3_client`): once in the life of a function that is wanted; here it is every boto3 client of the
    tests before, 10 MB each."""
    yield
    if _resident() > memory_limit[0]:
        gc.unfreeze()
        gc.collect()
        memory_limit[0] = _resident() + MUCH


@pytest.fixture(scope="session")
def memory_limit() -> list[int]:
    """Bytes in memory from which it is tidied."""
    return [_resident() + MUCH]


def _resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """The worker's PostgreSQL server."""
    with EmbeddedPostgres(POSTGRES_VERSION, settings={**DISPOSABLE, "max_connections": "200"}) as server:
        yield server


@pytest.fixture
def database(postgres: EmbeddedPostgres) -> Iterator[str]:
    """URL of an empty PostgreSQL database of the test's own."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    yield postgres.create_database(name)
    postgres.drop_database(name)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """URL of a SQLite file that does not exist yet."""
    return f"sqlite:///{tmp_path}/app.db"


@pytest.fixture(scope="session")
def s3() -> Iterator[EmbeddedS3]:
    """The worker's S3 server."""
    with EmbeddedS3() as server:
        yield server


@pytest.fixture
def bucket(s3: EmbeddedS3) -> str:
    """Name of an empty bucket of the test's own."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    s3.create_bucket(name)
    return name


@pytest.fixture
def slack() -> Iterator[SlackServer]:
    """A Slack workspace of the test's own."""
    with SlackServer(token=SLACK_TOKEN) as server:
        yield server


@pytest.fixture
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """An environment without anything of the developer's: no settings, credentials, AWS profile or home directory."""
    for name in list(os.environ):
        if name.startswith(FOREIGN_PREFIXES) or name in FOREIGN_NAMES:
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    return monkeypatch


@pytest.fixture
def environment(
    clean_environment: pytest.MonkeyPatch, database: str, s3: EmbeddedS3, bucket: str, slack: SlackServer
) -> dict[str, str]:
    """The environment of a handler call on the test's own database, bucket and Slack; already set."""
    variables = {
        **s3.env,
        "DATABASE_URL": database,
        "ARCHIVE_BUCKET": bucket,
        "SLACK_BOT_TOKEN": SLACK_TOKEN,
        "SLACK_CHANNEL": CHANNEL,
        "SLACK_API_URL": slack.url,
        "POWERTOOLS_METRICS_DISABLED": "true",
    }
    for name, value in variables.items():
        clean_environment.setenv(name, value)
    return variables
