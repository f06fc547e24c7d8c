"""Records finished decisions of `feedback`: the event of a decision may be delivered twice."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, insert, select

from nightshift.database.tables import embedding_decision, table_exists
from nightshift.run import JobRun


def is_finished(connection: Connection, decision: str) -> bool:
    """Returns whether an earlier run has finished the decision."""
    if not table_exists(connection, embedding_decision):
        return False
    found = select(embedding_decision.c.run_id).where(embedding_decision.c.decision == decision)
    return connection.execute(found).first() is not None


def mark_decision_completed(connection: Connection, decision: str, run: JobRun, now: datetime) -> None:
    """Note that it is finished; commits."""
    if not is_finished(connection, decision):
        values = {"decision": decision, "run_id": run.run_id, "finished_at": now}
        connection.execute(insert(embedding_decision).values(values))
    connection.commit()
