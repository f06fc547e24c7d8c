"""A CloudWatch Logs and a bucket per test."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import pyarrow.parquet as pq
import pytest

from local.s3 import EmbeddedS3
from nightshift.logs.cloudwatch import make_client as make_logs_client
from nightshift.logs.log_uploader import LogUploader, SavedPart
from nightshift.store import ObjectStore, ObjectWriter
from tests.support.logs_server import LogsServer

FOLDER = "backup/backup_2025_10_21_0000/"


@dataclass
class Shelf:
    """Where logs are saved in a test, and a plain way to read them."""

    sink: LogUploader
    s3: EmbeddedS3

    def rows(self, parts: Sequence[SavedPart]) -> list[dict[str, Any]]:
        """Every row of some parts, in their order; each part is as it says."""
        found: list[dict[str, Any]] = []
        for part in parts:
            body = (
                self.s3.client().get_object(Bucket=self.sink.writer.store.bucket, Key=FOLDER + part.key)["Body"].read()
            )
            rows = pq.read_table(io.BytesIO(body)).to_pylist()
            assert (part.bytes, part.rows) == (len(body), 0 if rows and "modified" in rows[0] else len(rows))
            found += rows
        return found


@pytest.fixture(scope="session")
def logs_server() -> Iterator[LogsServer]:
    """The worker's CloudWatch Logs."""
    with LogsServer() as server:
        yield server


@pytest.fixture
def logs(clean_environment: pytest.MonkeyPatch, logs_server: LogsServer) -> LogsServer:
    """An account without log groups."""
    for name, value in logs_server.env.items():
        clean_environment.setenv(name, value)
    logs_server.reset()
    return logs_server


@cache
def logs_client() -> Any:
    """The one client of the worker's server: to build one takes longer than most tests."""
    return make_logs_client()


@pytest.fixture
def make_shelf(clean_environment: pytest.MonkeyPatch, s3: EmbeddedS3, bucket: str) -> Callable[[int], Shelf]:
    """Makes a shelf whose parts hold so many bytes."""
    for name, value in s3.env.items():
        clean_environment.setenv(name, value)
    writer = ObjectWriter(ObjectStore(s3.client, bucket))
    return lambda part_bytes: Shelf(LogUploader(writer, FOLDER, "0199/logs", part_bytes), s3)


@pytest.fixture
def shelf(make_shelf: Callable[[int], Shelf]) -> Shelf:
    return make_shelf(1 << 20)
