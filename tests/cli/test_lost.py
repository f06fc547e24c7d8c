"""A command whose database goes away in mid-run says so once: one message, no trace, and of Slack no word twice."""

from __future__ import annotations

import threading
from contextlib import closing

import pytest

from local.chatlog import connect
from tests.cli.command import Said, process
from tests.support.house import House
from tests.support.running import OURS, RunningHouse

SETTING = {"cleanup": {}, "feedback": {"FEEDBACK_CHART": "off"}, "expire_jobs": {}, "backup": {}}
POLICY = """
[[retention]]
table = "conversation_log"
keep_days = 30
[[expiry]]
table = "conversation_log"
expires_at = "created_at"
timezone = "UTC"
"""


@pytest.mark.fast_cases("cleanup")
@pytest.mark.parametrize("job", SETTING)
def test_a_database_that_is_stopped_in_mid_run(house: House, job: str) -> None:
    running = RunningHouse(house.env, house.s3, house.slack, house.directory)
    house.sql("CREATE TABLE conversation_log (id int PRIMARY KEY, feedback text, created_at timestamptz)")
    house.sql("INSERT INTO conversation_log VALUES (1, 'like', '2020-01-01')")
    house.policies(POLICY)
    house.env |= SETTING[job]
    for name in ("SLACK_BOT_TOKEN", "SLACK_CHANNEL", "SLACK_API_URL"):
        house.env.pop(name)
    said: list[Said] = []
    with closing(connect(house.url)) as somebody:
        somebody.run("BEGIN; LOCK TABLE conversation_log IN ACCESS EXCLUSIVE MODE")
        caller = threading.Thread(target=lambda: said.append(process(house, "invoke", job)))
        caller.start()
        running.await_value(
            f"SELECT count(*) > 0 FROM pg_stat_activity WHERE {OURS} AND wait_event_type = 'Lock'", True
        )
        while caller.is_alive():
            running.terminate("pid <> pg_backend_pid()")
            caller.join(0.2)
        somebody.run("ROLLBACK")
    (told,) = said
    assert told.code == 1, told.stderr
    assert "Traceback" not in told.stderr
    assert len(told.stderr.splitlines()) <= 12, told.stderr
    assert told.stderr.count("error:") == 1
    assert told.stderr.count("Slack was not told") <= 1
    assert "hint:" in told.stderr
