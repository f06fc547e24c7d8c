"""With `--json`, stdout is one object, however the command ends; stderr has the rest, and the exit status stays."""

from __future__ import annotations

import pytest

from tests.cli.command import nightshift, process
from tests.cli.test_frame import NOWHERE
from tests.support.house import House


@pytest.mark.parametrize(
    ("arguments", "code", "status", "named"),
    [
        (("plan", "--tabel", "x"), 2, "not_understood", "--tabel"),
        (("plan", "--as-of", "yesterday"), 2, "not_understood", "yesterday"),
        (("plan", "--table"), 2, "not_understood", "--table"),
        (("archives", "--since", "20250801"), 2, "not_understood", "20250801"),
        (("verify", "--quick", "--values"), 2, "not_understood", "--values"),
        (("restore",), 2, "not_understood", "TABLE"),
        (("restore", "t", "--hold", "7d"), 2, "not_understood", "hold"),
        (("invoke", "sweep_the_floor"), 2, "not_understood", "sweep_the_floor"),
        (("invoke", "cleanup", "--event", "/no/such/file"), 2, "not_understood", "/no/such/file"),
        (("restore-backup", "backup_x", "--into", "NO_SUCH_VARIABLE"), 2, "not_understood", "NO_SUCH_VARIABLE"),
        (("no-such-command",), 2, "not_understood", "no-such-command"),
        (("plan",), 1, "failed", "could not be reached"),
        (("invoke", "cleanup"), 1, "failed", "could not be reached"),
        (("archives",), 1, "failed", "could not be reached"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_failure_is_an_object(arguments: tuple[str, ...], code: int, status: str, named: str, house: House) -> None:
    said = nightshift({**house.env, **NOWHERE}, arguments[0], "--json", *arguments[1:])
    assert (said.code, said.json["status"]) == (code, status)
    assert named in said.json["error"]["message"] + said.json["error"].get("detail", "")
    assert said.json["error"]["message"] in said.stderr


def test_in_a_process_of_its_own_and_without_settings() -> None:
    said = process({"DATABASE_URL": "sqlite:////no/such/file", "ARCHIVE_BUCKET": "b_"}, "plan", "--json")
    assert (said.code, said.json["status"]) == (2, "not_understood")
    assert "ARCHIVE_BUCKET" in said.json["error"]["detail"]


def test_an_answer_is_printed_once(house: House) -> None:
    house.sql("CREATE TABLE log (id int, created_at timestamptz); CREATE TABLE heir () INHERITS (log)")
    house.policies('[[retention]]\ntable = "log"\nkeep_days = 30')
    said = nightshift(house, "plan", "--json")
    assert (said.code, said.json["tables"][0]["refusal"]["guard"]) == (4, "hidden_rows")
