"""`python -m benchmarks.embedding`: documents embedded by the whole job, beside the embedder alone.

What the job adds is reading texts, writing vectors into pgvector, its ledger, and looking for what is stale. The local
embedder stands for the model: it is so fast that what the job adds is seen. Each phase goes through the handler that
Lambda calls, and is proven by its answer: first all documents, then none of them twice (by `updated_at`, and by the
hashes of all texts), then all of them for another dimension, with the switch at its end.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from benchmarks.arena import Arena, arena, machine
from benchmarks.contestants import SCHEDULED
from benchmarks.stopwatch import peak_mb
from local.chatlog import connect
from local.documents import POLICY, create_documents
from nightshift.embedders.text_embedder import make_embedder
from nightshift.settings import Settings

DATABASE = "documents"
HNSW = "CREATE INDEX ON document_embedding USING hnsw (embedding vector_cosine_ops)"


@click.command()
@click.option("--documents", type=click.IntRange(min=1), default=20_000, show_default=True)
@click.option("--dimension", type=click.IntRange(min=2), default=1024, show_default=True)
@click.option("--batch", type=click.IntRange(min=1), default=64, show_default=True)
@click.option("--hnsw", is_flag=True, help="Switch with an HNSW index on the vectors, which it has to fill again.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout, nothing else.")
def main(documents: int, dimension: int, batch: int, hnsw: bool, as_json: bool) -> None:
    """Embed a table of documents, again, and with another model."""
    with arena() as place, tempfile.TemporaryDirectory(prefix="nightshift-bench-") as directory:
        measured_on = machine(place)
        url = place.postgres.create_database(DATABASE)
        place.postgres.execute("CREATE EXTENSION vector", DATABASE)
        _say(f"building {documents:,} documents")
        create_documents(url, documents, end=SCHEDULED)
        policy = Path(directory) / "policy.toml"
        policy.write_text(POLICY)
        os.environ.update(_environment(url, policy, dimension, batch))
        phases = {"embedder alone": _alone(url, dimension, batch)}
        phases |= _phases(place, documents, dimension, hnsw=hnsw)
    result = {
        "documents": documents,
        "dimension": dimension,
        "batch": batch,
        "machine": measured_on,
        "seconds": {name: round(seconds, 2) for name, seconds in phases.items()},
        "peak_mb": round(peak_mb()),
    }
    click.echo(json.dumps(result) if as_json else _table(result))


def _phases(place: Arena, documents: int, dimension: int, *, hnsw: bool) -> dict[str, float]:
    """Every phase's seconds."""
    found = {"first run": _run({"embedded": documents})}
    found["again, by updated_at"] = _run({"embedded": 0, "unchanged": documents})
    found["again, by every hash"] = _run({"embedded": 0, "unchanged": documents}, scope="all")
    if hnsw:
        began = time.perf_counter()
        place.postgres.execute(HNSW, DATABASE)
        found["CREATE INDEX (hnsw)"] = time.perf_counter() - began
    os.environ["EMBEDDING_DIMENSION"] = str(dimension - 1)
    found["another dimension"] = _run({"embedded": documents, "switched": True})
    return found


def _alone(url: str, dimension: int, batch: int) -> float:
    """The embedder over the same texts, in the same batches."""
    with closing(connect(url)) as connection:
        texts = [text for (text,) in connection.run("SELECT concat_ws(E'\\n\\n', title, content) FROM document") or ()]
    embedder = make_embedder(Settings.from_env({"EMBEDDER": "local", "EMBEDDING_DIMENSION": str(dimension)}))
    embedder.embed(texts[:1], deadline=time.monotonic() + 3600)
    began = time.perf_counter()
    for start in range(0, len(texts), batch):
        embedder.embed(texts[start : start + batch], deadline=time.monotonic() + 3600)
    return time.perf_counter() - began


def _run(expected: Mapping[str, object], **event: Any) -> float:
    """Call the handler; its seconds."""
    app = importlib.import_module("reembed.app")
    app.lambda_handler.wiring = None
    began = time.perf_counter()
    answer = app.lambda_handler({"scheduled_time": SCHEDULED.isoformat(), **event}, None)
    seconds = time.perf_counter() - began
    (table,) = answer["tables"]
    if not answer["complete"] or any(table[fact] != value for fact, value in expected.items()):
        raise click.ClickException(f"expected {dict(expected)}: {answer}")
    return seconds


def _environment(url: str, policy: Path, dimension: int, batch: int) -> dict[str, str]:
    return {
        "DATABASE_URL": url,
        "NIGHTSHIFT_CONFIG": str(policy),
        "EMBEDDER": "local",
        "EMBEDDING_DIMENSION": str(dimension),
        "EMBEDDING_BATCH": str(batch),
        "POWERTOOLS_LOG_LEVEL": "ERROR",
        "POWERTOOLS_METRICS_DISABLED": "true",
        "POWERTOOLS_SERVICE_NAME": "benchmark",
    }


def _table(result: Mapping[str, Any]) -> str:
    """The result for people."""
    on = result["machine"]
    lines = [
        f"{on['cpu']}, {on['cores']} cores, PostgreSQL {on['postgres']['server_version']} on the same machine,"
        f" load {on['load_average']} before the first run",
        f"{result['documents']:,} documents, {result['dimension']} numbers a vector, {result['batch']} documents a"
        f" transaction; peak {result['peak_mb']} MB, embedder included",
        "",
        *(f"{name:24}{seconds:>9.2f} s" for name, seconds in result["seconds"].items()),
    ]
    return "\n".join(lines)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
