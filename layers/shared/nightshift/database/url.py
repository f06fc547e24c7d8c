"""Parses a database URL once, for two drivers.

SQLAlchemy on pg8000 (for short statements) and libpq inside ADBC (for row data) must reach the same server with the
same TLS rules. `DatabaseTarget` holds the parsed URL and provides the arguments of each driver. The TLS modes have
libpq's names (https://www.postgresql.org/docs/current/libpq-ssl.html). pg8000 has no TLS modes, and by default connects
without TLS if the server has none; every mode from `require` up therefore passes an explicit `ssl.SSLContext`.
"""

from __future__ import annotations

import re
import ssl
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import quote, urlencode

import certifi
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from nightshift.errors import InvalidSettings

MAX_PORT = 65_535
TLS_MODES = ("disable", "prefer", "require", "verify-ca", "verify-full")
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_KNOWN_PARAMETERS = {"sslmode", "sslrootcert", "host", "connect_timeout", "application_name"}

Password = Callable[[], str | None]
"""A function that returns the password; each connect calls it, because an IAM token is valid for only 15 minutes."""


@dataclass(frozen=True, slots=True)
class DatabaseTarget:
    """Address and login of a database.

    Attributes:
        host: host name, address, or the directory of a unix socket.
        path: the file of an SQLite database.
        password: function that returns the password; the password is never stored in a URL that could be logged.
        tls: a TLS mode of libpq.
        root_cert: PEM file of the certificate authorities to trust; None for the public authorities.
        search_path: the role's own `search_path`, which a session of `Database` found; None before the first session.
    """

    kind: Literal["postgresql", "sqlite"]
    host: str = ""
    port: int = 5432
    user: str | None = None
    database: str | None = None
    path: str = ""
    password: Password = field(default=lambda: None, repr=False)
    tls: str = "prefer"
    root_cert: str | None = None
    connect_timeout: int = 10
    search_path: str | None = None

    def sqlalchemy_url(self) -> URL:
        """Returns the URL for SQLAlchemy, without the password."""
        if self.kind == "sqlite":
            return URL.create("sqlite", database=self.path)
        return URL.create("postgresql+pg8000", self.user, None, self.host, self.port, self.database)

    def pg8000_arguments(self) -> dict[str, Any]:
        """Returns the keyword arguments for `pg8000.connect`, with the current password."""
        arguments: dict[str, Any] = {
            "user": self.user or "postgres",
            "password": self.password(),
            "database": self.database,
            "timeout": self.connect_timeout,
            "application_name": "nightshift",
            "tcp_keepalive": True,
        }
        if self.host.startswith("/"):
            arguments["unix_sock"] = f"{self.host}/.s.PGSQL.{self.port}"
        else:
            arguments |= {"host": self.host, "port": self.port, "ssl_context": self._ssl_context()}
        return arguments

    def libpq_uri(self, *, options: str | None = None) -> str:
        """Returns the URI for libpq. It contains the password, so callers must not log it.

        Args:
            options: command-line options for the session, e.g. `-c jit=off`.
        """
        password = self.password()
        login = quote(self.user or "postgres", safe="")
        if password is not None:
            login += ":" + quote(password, safe="")
        parameters = {
            "connect_timeout": str(self.connect_timeout),
            "application_name": "nightshift",
            "client_encoding": "UTF8",
            "keepalives_idle": "30",
            "keepalives_interval": "10",
            "keepalives_count": "3",
            "tcp_user_timeout": "30000",
        }
        if self.host.startswith("/"):
            parameters["host"] = self.host
            where = f":{self.port}"
        else:
            host = f"[{self.host}]" if ":" in self.host else self.host
            where = f"{host}:{self.port}"
            parameters["sslmode"] = self.tls
            if self.tls.startswith("verify"):
                parameters["sslrootcert"] = self.root_cert or certifi.where()
        if options is not None:
            parameters["options"] = options
        database = quote(self.database or "", safe="")
        return f"postgresql://{login}@{where}/{database}?{urlencode(parameters, quote_via=quote)}"

    def _ssl_context(self) -> ssl.SSLContext | bool | None:
        if self.tls == "disable":
            return False
        if self.tls == "prefer":
            return None
        context = ssl.create_default_context(cafile=self.root_cert or certifi.where())
        if self.tls == "require":
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        elif self.tls == "verify-ca":
            context.check_hostname = False
        return context


def parse_database_url(raw: str, *, password: Password | None = None, connect_timeout: int = 10) -> DatabaseTarget:
    """Parse a database URL in the form that SQLAlchemy, libpq or a hosting provider uses.

    Args:
        raw: e.g. `postgresql://user:pass@host:5432/db?sslmode=verify-full&sslrootcert=/opt/ca.pem`,
            `postgres://…`, `postgresql+psycopg2://…` (the driver part is ignored), `sqlite:///./local.db`.
        password: function that replaces the URL's password, e.g. by an IAM token.

    Raises:
        InvalidSettings: the URL cannot be used; the message never repeats the URL, which holds the password.
    """
    raw = raw.strip()
    _check_unambiguous(raw)
    try:
        url = make_url(raw)
    except (ArgumentError, ValueError):
        raise _bad("it is not a URL") from None
    backend = url.get_backend_name()
    if backend == "sqlite":
        if not url.database or url.database == ":memory:":
            raise _bad("an SQLite database needs a file: a second connection cannot see one in memory")
        return DatabaseTarget(kind="sqlite", path=url.database)
    if backend not in ("postgresql", "postgres"):
        raise _bad(f"{backend} is not supported; use postgresql:// or sqlite:///")
    query = {name: value if isinstance(value, str) else value[-1] for name, value in url.query.items()}
    unknown = sorted(set(query) - _KNOWN_PARAMETERS)
    if unknown:
        raise _bad(f"parameter {unknown[0]} is not understood; known: {', '.join(sorted(_KNOWN_PARAMETERS))}")
    if url.port is not None and not 0 < url.port <= MAX_PORT:
        raise _bad("the port is out of range")
    host = url.host or query.get("host") or "localhost"
    # On loopback nobody can intercept, and `prefer` would cost a round trip per connection if the server has no TLS.
    mode = query.get("sslmode", "disable" if host in _LOOPBACK else "prefer")
    if mode not in TLS_MODES:
        raise _bad(f"sslmode should be one of {', '.join(TLS_MODES)}")
    secret = None if url.password is None else str(url.password)
    return DatabaseTarget(
        kind="postgresql",
        host=host,
        port=url.port or 5432,
        user=url.username,
        database=url.database or url.username,
        password=password or (lambda: secret),
        tls=mode,
        root_cert=query.get("sslrootcert"),
        connect_timeout=connect_timeout,
    )


def _check_unambiguous(raw: str) -> None:
    """Raise `InvalidSettings` for a URL in which a part of the password could be read as host, port or database.

    Errors, logs and the run history contain host, port and database, and would then reveal the password.
    The message names neither the unescaped character nor its position.
    """
    scheme, _, rest = raw.partition("://")
    if scheme.partition("+")[0].lower() == "sqlite":
        return
    login = rest.rpartition("@")[0]
    if any(unicodedata.category(character) == "Cc" for character in rest):
        problem = "it holds a control character, such as a line break"
    elif re.search(r"[@/?#]", login):
        problem = "the user name or the password holds @, /, ? or # as it is"
    elif re.search(r"%(?![0-9A-Fa-f]{2})", login):
        problem = "the user name or the password holds a % that is no escape"
    else:
        return
    raise _bad(
        problem,
        "percent-encode what stands before the host's @: @ as %40, / as %2F, ? as %3F, # as %23, % as %25; the URL is"
        " not repeated here, for it holds the password",
    )


def _bad(
    problem: str, hint: str = "e.g. postgresql://user:password@host:5432/name?sslmode=verify-full"
) -> InvalidSettings:
    return InvalidSettings("DATABASE_URL is not usable", detail=f"DATABASE_URL: {problem}", hint=hint)
