"""Contestant: the script that small services start with. Everything overdue into pandas, a CSV file, one DELETE."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
from sqlalchemy import create_engine, text

from benchmarks.stopwatch import report


def run() -> int:
    url, directory, cutoff = sys.argv[1:4]
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg2://", 1))
    frame = pd.read_sql(
        text("SELECT * FROM conversation_log WHERE created_at < :cutoff"), engine, params={"cutoff": cutoff}
    )
    frame.to_csv(Path(directory) / "conversation_log_backup.csv", index=False, encoding="utf-8-sig")
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM conversation_log WHERE created_at < :cutoff"), {"cutoff": cutoff})
    engine.dispose()
    return len(frame)


if __name__ == "__main__":
    report(run)
