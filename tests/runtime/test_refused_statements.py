"""A statement's failure that no job has explained is one message of the frame's: the server's words, and no trace."""

from __future__ import annotations

from typing import Any

import pytest

from nightshift.errors import NightshiftError
from nightshift.run import JobRun
from nightshift.run_services import RunServices, RunWiring
from nightshift.runtime import run_job
from tests.support.handler import environ_of
from tests.support.house import House


@pytest.mark.parametrize(
    ("lost", "statement", "words"),
    [
        (False, "SELECT 1 / 0", "division by zero"),
        (False, "SELECT lenght('a')", "lenght"),
        (True, "SELECT 1", "connection to the database was lost"),
    ],
)
def test_one_message(house: House, caplog: pytest.LogCaptureFixture, lost: bool, statement: str, words: str) -> None:
    def work(_run: JobRun, services: RunServices) -> Any:
        with services.database.connect() as connection:
            pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar()
            connection.commit()
            if lost:
                house.sql(f"SELECT pg_terminate_backend({pid}, 60000)")
            connection.exec_driver_sql(statement)

    with environ_of(house.env), pytest.raises(NightshiftError) as raised:
        run_job("cleanup", {}, None, RunWiring(house.env), work=work)

    assert words in f"{raised.value.message} {raised.value.detail}"
    (record,) = (record for record in caplog.records if record.levelname == "ERROR")
    assert (record.getMessage(), record.exc_info) == ("run failed", None)
    (message,) = house.slack.messages
    assert words in message.seen and "Traceback" not in message.seen
    assert house.runs()[-1]["status"] == "failed"
