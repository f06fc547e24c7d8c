"""Settings: any environment gives settings, or one error that names every bad variable and no value."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightshift.errors import InvalidSettings
from nightshift.settings import MAX_WORKERS, Settings
from tests.support.attempts import attempt

NAMES = sorted(name.upper() for name in Settings.model_fields)

GOOD = {
    "DATABASE_URL": "postgresql://app:secret@db/app",
    "ARCHIVE_BUCKET": "my-bucket",
    "LOG_RETENTION_DAYS": "7",
    "CLEANUP_VACUUM": "off",
    "CLEANUP_MAX_SHARE": "0.25",
    "SLACK_BOT_TOKEN": "xoxb-secret",
    "SLACK_API_URL": "http://127.0.0.1:1/api/",
    "REPORT_LANGUAGE": "en",
    "TIMEZONE": "Europe/Berlin",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1024",
}
BAD = {
    "LOG_RETENTION_DAYS": "0",
    "CLEANUP_VACUUM": "perhaps",
    "CLEANUP_MAX_SHARE": "1.01",
    "CLEANUP_WORKERS": "-1",
    "CLEANUP_CHUNK_MB": "1.5",
    "CLEANUP_LOCK_TIMEOUT": "inf",
    "ARCHIVE_BUCKET": "Bucket",
    "ARCHIVE_PREFIX": "with space",
    "ARCHIVE_PROOF": "half",
    "DATABASE_IAM_AUTH": "si",
    "DATABASE_CONNECT_TIMEOUT": "0",
    "SLACK_API_URL": "slack.com",
    "SLACK_CSV_ROWS": "0",
    "REPORT_LANGUAGE": "de",
    "TIMEZONE": "Seoul",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "64",
}


def test_defaults() -> None:
    settings = Settings.from_env({})

    assert settings.log_retention_days == 30
    assert settings.timezone == "Asia/Seoul"
    assert settings.report_language == "ko"
    assert settings.archive_prefix == "archive"
    assert settings.database_url.get_secret_value() == "sqlite:///./local.db"
    assert settings.archive_bucket is None


def test_what_is_given_counts() -> None:
    settings = Settings.from_env(GOOD)

    assert settings.log_retention_days == 7
    assert settings.cleanup_vacuum is False
    assert settings.cleanup_max_share == 0.25
    assert settings.report_language == "en"


def test_an_empty_variable_is_not_set() -> None:
    """A SAM parameter cannot be absent."""
    assert Settings.from_env(dict.fromkeys(NAMES, " ")) == Settings.from_env({})


@pytest.mark.parametrize("word", ["on", "ON", "true", "1", "yes", " On "])
def test_switches_on(word: str) -> None:
    assert Settings.from_env({"DATABASE_IAM_AUTH": word}).database_iam_auth is True


@pytest.mark.parametrize("word", ["off", "False", "0", "no"])
def test_switches_off(word: str) -> None:
    assert Settings.from_env({"SLACK_ATTACH_CSV": word}).slack_attach_csv is False


@given(st.sets(st.sampled_from(sorted(BAD)), min_size=1))
def test_every_bad_variable_is_named_and_no_good_one(bad: set[str]) -> None:
    with pytest.raises(InvalidSettings) as refused:
        Settings.from_env({**GOOD, **{name: BAD[name] for name in bad}})

    lines = str(refused.value.detail).splitlines()
    assert sorted(line.split(":")[0] for line in lines) == sorted(bad)
    assert "secret" not in str(refused.value)


values = st.text() | st.sampled_from(["1", "on", "nan", "inf", "-1", "1e9", "UTC", "../UTC", "\x00", "a" * 300, "1_0"])


@given(st.dictionaries(st.sampled_from(NAMES) | st.text(), values))
def test_any_environment_is_settings_or_refused(environ: dict[str, str]) -> None:
    settings = attempt(InvalidSettings, lambda: Settings.from_env(environ))
    if isinstance(settings, InvalidSettings):
        assert settings.hint == "docs/configuration.md lists every setting; nothing was read or written"
        for line in str(settings.detail).splitlines():
            name = line.split(":")[0]
            assert environ[name].strip(), "what is named was given"
        return
    assert 1 <= settings.log_retention_days <= 36_500
    assert 1 <= settings.workers <= MAX_WORKERS
    assert settings.cleanup_max_share is None or 0 < settings.cleanup_max_share <= 1
    assert 0 < settings.cleanup_lock_timeout <= 300


secrets = st.text(string.ascii_letters + string.digits, min_size=12)


@given(secrets, st.sampled_from(sorted(BAD)))
def test_secrets_show_nowhere(secret: str, bad: str) -> None:
    environ = {"DATABASE_URL": f"postgresql://app:{secret}@db/app", "SLACK_BOT_TOKEN": f"xoxb-{secret}"}
    settings = Settings.from_env(environ)
    with pytest.raises(InvalidSettings) as refused:
        Settings.from_env({**environ, bad: BAD[bad]})

    for shown in (repr(settings), str(settings), settings.model_dump_json(), str(refused.value), repr(refused.value)):
        assert secret not in shown


@pytest.mark.parametrize(
    ("memory", "workers"), [(None, 2), (128, 1), (512, 1), (1024, 2), (1769, 4), (3008, 7), (10_240, MAX_WORKERS)]
)
def test_workers_come_from_the_function_s_memory(memory: int | None, workers: int) -> None:
    environ = {} if memory is None else {"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(memory)}

    assert Settings.from_env(environ).workers == workers
    assert Settings.from_env({**environ, "CLEANUP_WORKERS": "5"}).workers == 5
