"""What a guard's refusal must look like from every side."""

from __future__ import annotations

from typing import Any

from tests.support.house import House


def refused(house: House, policy: str = "", **event: Any) -> dict[str, Any]:
    """Run one policy, which must be refused with nothing touched but the run history; the refusal."""
    house.policies("[[retention]]\n" + (policy or 'table = "log"\nkeep_days = 30'))
    before = house.state()

    answer = house.run(**event)

    (table,) = answer["tables"]
    assert (answer["status"], answer["complete"], table["status"]) == ("refused", False, "refused"), table
    assert table["archived_rows"] == table["deleted_rows"] == table["objects"] == 0
    assert house.state() == before
    (run,) = house.runs()[-1:]
    assert run["status"] == "refused"
    seen = house.slack.messages[-1].seen
    refusal = dict(table["refusal"])
    assert "⛔" in seen and refusal["message"].split("(")[0].strip() in seen
    assert refusal["hint"]
    return refusal
