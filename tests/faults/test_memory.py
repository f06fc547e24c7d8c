"""Memory runs out while rows are written as Parquet: for real, by the kernel's limit on the process."""

from __future__ import annotations

import resource
from contextlib import suppress
from pathlib import Path

import pyarrow as pa

from nightshift.archive.events import ChunkEvent, Step
from tests.support.scene import Scene

BLOCK = 1 << 20
"""What is left is less than two of these, in pieces: enough to tell what happened, too little for a file of ten."""

hoard: list[pa.Buffer] = []


def starve_while_writing(event: ChunkEvent) -> None:
    """From the intent on, when the next thing to do is to write the file, until the chunk is undone."""
    if event.step == Step.PLANNED:
        # Arrow's own allocator has reserved more addresses than it needs, so that the limit would not reach it.
        pa.set_memory_pool(pa.system_memory_pool())
    elif event.step == Step.INTENT:
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + BLOCK, resource.RLIM_INFINITY))
        with suppress(MemoryError):
            while True:
                hoard.append(pa.allocate_buffer(BLOCK))
        hoard.pop()
    elif event.step == Step.ROLLED_BACK:
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        hoard.clear()


def test_memory_is_full(scene: Scene) -> None:
    scene.fill(12_000, days=0.5)
    # Text that does not compress: the file is as large as its rows.
    scene.sql(
        "UPDATE conversation_log SET payload = id || (SELECT string_agg(md5(random()::text || id || n), '')"
        " FROM generate_series(1, 30) n)"
    )
    scene.remember()
    child = scene.child({"CLEANUP_CHUNK_MB": "64", "CLEANUP_WORKERS": "1"}, hook=starve_while_writing)
    assert child.wait() == 1
    assert child.error is not None and child.error.startswith(
        "NightshiftError: rows could not be written as Parquet"
    ), child.log
    assert "Memory" in child.error
    assert child.steps == [Step.PLANNED, Step.STREAMED, Step.INTENT, Step.ROLLED_BACK]
    assert [run["status"] for run in scene.runs()] == ["failed"]
    assert scene.archived_rows() == 0
    scene.assert_tidy()
    scene.converge()
