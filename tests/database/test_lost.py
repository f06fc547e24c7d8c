"""A server that vanishes under the control plane is one error, and no trace of the driver's."""

from __future__ import annotations

import logging
import time

import pytest
from sqlalchemy.exc import DBAPIError

from local.postgres import EmbeddedPostgres
from nightshift.database.connect import Database
from nightshift.database.url import parse_database_url
from tests.support.tcp_proxy import TcpProxy


def test_the_pool_says_nothing_of_a_socket_that_is_closed(
    database: str, postgres: EmbeddedPostgres, caplog: pytest.LogCaptureFixture
) -> None:
    """The driver says good-bye to a server that is gone, and SQLAlchemy would log a hundred lines of it."""
    with TcpProxy("127.0.0.1", postgres.port) as proxy:
        url = parse_database_url(proxy.through(f"{database}?sslmode=disable"))
        control = Database(url, deadline=time.monotonic() + 60)
        with control.connect() as connection:
            connection.exec_driver_sql("SELECT 1")
            connection.rollback()
            proxy.cut()
            with pytest.raises(DBAPIError):
                connection.exec_driver_sql("SELECT 1")
        control.close()
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []
