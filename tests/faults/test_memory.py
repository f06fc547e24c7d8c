"""Memory runs out while rows are written as Parquet: for real, by the kernel's limit on the process."""

from __future__ import annotations

import resource
from contextlib import suppress
from pathlib import Path

import pyarrow as pa

from nightshift.progress_events import ProgressEvent, ProgressStep
from tests.support.scene import Scene

BLOCKS = (1 << 20, 1 << 16)
"""Memory is taken in blocks of these sizes until none is to be had, and one large one is given back: enough to tell
what happened, too little to write a file of some megabytes."""

hoard: list[pa.Buffer] = []
streamed: list[ProgressEvent] = []


def starve_while_writing(event: ProgressEvent) -> None:
    """From when the second chunk's rows are here, and a file is to be written, until that chunk is undone.

    Not the first chunk's: its uploads start threads, and where memory is full those are what fails.
    """
    if event.step == ProgressStep.PLANNED:
        # Arrow's own allocator has reserved more addresses than it needs, so that the limit would not reach it.
        pa.set_memory_pool(pa.system_memory_pool())
    elif event.step == ProgressStep.STREAMED:
        streamed.append(event)
        if len(streamed) < 2:
            return
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + BLOCKS[0], resource.RLIM_INFINITY))
        for block in BLOCKS:
            with suppress(MemoryError):
                while True:
                    hoard.append(pa.allocate_buffer(block))
        hoard.pop(0)
    elif event.step == ProgressStep.ROLLED_BACK:
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        hoard.clear()


def test_memory_is_full(scene: Scene) -> None:
    scene.fill(12_000, days=0.5)
    # Text that does not compress, so that the file is as large as its rows; in time order, so that none must be sorted.
    scene.sql(
        "CREATE TEMP TABLE plain AS TABLE conversation_log; TRUNCATE conversation_log;"
        " INSERT INTO conversation_log SELECT id, (SELECT string_agg(md5(random()::text || id || n), '')"
        " FROM generate_series(1, 30) n), created_at FROM plain ORDER BY id"
    )
    scene.remember()
    child = scene.child({"CLEANUP_CHUNK_MB": "4", "CLEANUP_WORKERS": "1"}, hook=starve_while_writing)
    assert child.wait() == 1
    assert child.error is not None and child.error.startswith(
        "NightshiftError: rows could not be written as Parquet"
    ), child.log
    assert "Memory" in child.error
    assert "a smaller CLEANUP_CHUNK_MB, or more memory for the function" in child.error
    assert child.steps[-1] == ProgressStep.ROLLED_BACK
    assert child.steps.count(ProgressStep.UPLOADED) == 1
    assert [run["status"] for run in scene.runs()] == ["failed"]
    assert 0 < scene.archived_rows() < scene.due.total()
    scene.assert_tidy()
    scene.converge()
