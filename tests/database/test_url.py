"""One address, two drivers: both reach the same server under the same TLS rules, and neither shows the password."""

from __future__ import annotations

import ssl
from functools import partial
from urllib.parse import parse_qs, quote, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightshift.database.url import TLS_MODES, parse_database_url
from nightshift.errors import InvalidSettings
from tests.support.attempts import attempt


@pytest.mark.parametrize(
    "written",
    [
        "postgresql://app:pw@db.example:6432/main",
        "postgres://app:pw@db.example:6432/main",
        "postgresql+psycopg2://app:pw@db.example:6432/main",
        "  postgresql+pg8000://app:pw@db.example:6432/main\n",
    ],
)
def test_urls_as_web_hosts_write_them(written: str) -> None:
    target = parse_database_url(written)

    assert (target.kind, target.host, target.port, target.database) == ("postgresql", "db.example", 6432, "main")
    assert (target.user, target.password(), target.tls) == ("app", "pw", "prefer")
    control = target.pg8000_arguments()
    assert (control["host"], control["port"], control["database"]) == ("db.example", 6432, "main")
    data = urlsplit(target.libpq_uri())
    assert (data.hostname, data.port, data.path) == ("db.example", 6432, "/main")


def test_what_is_left_out() -> None:
    target = parse_database_url("postgresql://app@db")

    assert (target.port, target.database, target.password()) == (5432, "app", None)
    assert target.pg8000_arguments()["password"] is None
    assert "app@db:5432/app" in target.libpq_uri()


def test_tls_is_tried_everywhere_but_on_this_machine() -> None:
    assert parse_database_url("postgresql://app@db.example/app").tls == "prefer"
    assert {parse_database_url(f"postgresql://app@{host}/app").tls for host in ("localhost", "127.0.0.1")} == {
        "disable"
    }


def test_ipv6_and_sockets() -> None:
    assert "@[::1]:5432/" in parse_database_url("postgresql://app@[::1]/db").libpq_uri()
    target = parse_database_url("postgresql://app@/db?host=/var/run/postgresql")
    assert target.pg8000_arguments()["unix_sock"] == "/var/run/postgresql/.s.PGSQL.5432"
    assert parse_qs(urlsplit(target.libpq_uri()).query)["host"] == ["/var/run/postgresql"]


def test_sqlite_paths() -> None:
    assert parse_database_url("sqlite:///./local.db").path == "./local.db"
    assert parse_database_url("sqlite:////data/app.db").path == "/data/app.db"


@pytest.mark.parametrize("mode", TLS_MODES)
def test_tls_means_the_same_to_both(mode: str) -> None:
    target = parse_database_url(f"postgresql://app@db/app?sslmode={mode}")

    context = target.pg8000_arguments()["ssl_context"]
    data = parse_qs(urlsplit(target.libpq_uri()).query)
    assert data["sslmode"] == [mode]
    match mode:
        case "disable":
            assert context is False
        case "prefer":
            assert context is None
        case "require":
            assert context.verify_mode is ssl.CERT_NONE
        case "verify-ca":
            assert context.verify_mode is ssl.CERT_REQUIRED and context.check_hostname is False
        case "verify-full":
            assert context.verify_mode is ssl.CERT_REQUIRED and context.check_hostname is True
    assert ("sslrootcert" in data) == mode.startswith("verify"), "or libpq looks for a file in the home directory"


parts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)


def written(user: str, password: str, database: str) -> str:
    """The URL as it should be written, whatever the characters."""
    return "postgresql://{}:{}@db:5432/{}".format(*(quote(part, safe="") for part in (user, password, database)))


@given(parts, parts, parts)
def test_both_drivers_log_in_as_the_same(user: str, password: str, database: str) -> None:
    """Whatever characters they are made of."""
    target = parse_database_url(written(user, password, database))

    control, data = target.pg8000_arguments(), urlsplit(target.libpq_uri())
    assert (control["user"], control["password"], control["database"]) == (user, password, database)
    assert [unquote(part) for part in (data.username or "", data.password or "", data.path[1:])] == [
        user,
        password,
        database,
    ]


@given(parts.map(lambda part: f"q9-{part}-7x"))
def test_the_password_is_not_shown(password: str) -> None:
    url = written("app", password, "main")
    target = parse_database_url(url)

    assert password not in repr(target)
    assert password not in str(target.sqlalchemy_url())
    for broken in (url.replace("postgresql", "oracle", 1), url + "?sslmode=some", url + "?sslkey=x", "app:" + password):
        error = attempt(InvalidSettings, partial(parse_database_url, broken))
        assert isinstance(error, InvalidSettings)
        assert password not in str(error)
        assert error.__cause__ is None and (error.__suppress_context__ or error.__context__ is None)


@pytest.mark.parametrize(
    "password",
    ["pa@Secret9", "Secret9@", "12/Secret9", "12?Secret9", "12#Secret9", "Secret9%", "Secret9%4", "Se\ncret9"],
)
@pytest.mark.parametrize(
    "around", ["postgresql://app:{}@127.0.0.1:5432/main", "postgres://{}:x@db/main?sslmode=require"]
)
def test_a_reserved_character_as_it_is_makes_a_url_ambiguous(password: str, around: str) -> None:
    """By one reading a part of the password is the host, which errors and the run history name."""
    error = attempt(InvalidSettings, partial(parse_database_url, around.format(password)))

    assert isinstance(error, InvalidSettings)
    assert "Secret9" not in str(error) and "cret9" not in str(error)
    assert "percent-encode what stands before the host's @" in str(error.hint)


@pytest.mark.parametrize("written", ["postgresql://h/main?Secret9@x=1", "postgresql://app:987654321/main"])
def test_a_password_at_a_wrong_place_is_not_repeated(written: str) -> None:
    error = attempt(InvalidSettings, partial(parse_database_url, written))

    assert isinstance(error, InvalidSettings)
    assert "Secret9" not in str(error) and "987654321" not in str(error)


@given(st.text())
def test_any_text_is_an_address_or_refused(text: str) -> None:
    outcome = attempt(InvalidSettings, lambda: parse_database_url(text))

    assert "DATABASE_URL" in str(outcome) if isinstance(outcome, InvalidSettings) else outcome.kind
