"""Contestant: AWS's own pandas library, as its users write this job.

Rows come in chunks of 100,000 through pg8000, each chunk becomes a Parquet object, then one DELETE. uuid and jsonb
are read as text, which the library would otherwise refuse.
"""

from __future__ import annotations

import sys

import awswrangler as wr
import pg8000

from benchmarks.stopwatch import report

CHUNK_ROWS = 100_000
COLUMNS = (
    "id, session_id::text, user_id, role, content, tokens, latency_ms, model, feedback, metadata::text, created_at"
)


def run() -> int:
    port, database, bucket, cutoff = sys.argv[1:5]
    connection = pg8000.connect("postgres", host="127.0.0.1", port=int(port), database=database)
    overdue = f"FROM conversation_log WHERE created_at < timestamptz '{cutoff}'"
    rows = 0
    frames = wr.postgresql.read_sql_query(f"SELECT {COLUMNS} {overdue}", con=connection, chunksize=CHUNK_ROWS)
    for number, frame in enumerate(frames):
        wr.s3.to_parquet(frame, path=f"s3://{bucket}/conversation_log/{number:05d}.parquet")
        rows += len(frame)
    connection.cursor().execute(f"DELETE {overdue}")
    connection.commit()
    connection.close()
    return rows


if __name__ == "__main__":
    report(run)
