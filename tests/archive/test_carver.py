"""Chunks tile their interval exactly once, whatever is learned, split or given back on the way."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nightshift.archive.chunk_allocator import ChunkAllocator, ChunkRange


@st.composite
def carvers(draw: st.DrawFn) -> ChunkAllocator:
    lo = draw(st.integers(-(2**63), 2**63 - 1))
    width = draw(st.integers(0, 2**64))
    align = draw(st.sampled_from([None, 7, 86_400_000_000]))

    def to_grid(start: int, end: int) -> int:
        grid = end - end % align if align else end
        return grid if grid > start else end

    return ChunkAllocator(
        ChunkRange(lo, lo + width),
        draw(st.integers(1, 2**40)),
        draw(st.integers(1, 2**30)),
        draw(st.integers(1, 8)),
        align=to_grid if align else None,
    )


@given(carvers(), st.data())
def test_chunks_tile_the_interval(carver: ChunkAllocator, data: st.DataObject) -> None:
    whole = carver.rest
    finished: list[ChunkRange] = []
    for _ in range(60):
        chunk = carver.next_chunk()
        if chunk is None:
            break
        assert chunk.width >= 1
        assert whole.lo <= chunk.lo < chunk.hi <= whole.hi
        match data.draw(st.sampled_from(["done", "done", "split", "give back"])):
            case "split" if carver.split_chunk(chunk):
                continue
            case "give back":
                carver.return_chunk(chunk)
                continue
        finished.append(chunk)
        carver.record_timing(
            chunk,
            data.draw(st.integers(0, 10**6)),
            data.draw(st.integers(0, 2**40)),
            seconds=data.draw(st.floats(0, 1000)),
            seconds_left=data.draw(st.floats(-10, 1000)),
        )
        assert carver.width >= 1
    while carver.has_remaining:
        # Finish with chunks that are as wide as can be.
        carver.width = max(1, whole.width)
        chunk = carver.next_chunk()
        assert chunk is not None
        finished.append(chunk)
    assert carver.next_chunk() is None
    finished.sort(key=lambda chunk: chunk.lo)
    ends = [whole.lo, *(chunk.hi for chunk in finished)]
    assert [chunk.lo for chunk in finished] == ends[:-1], "no gap and no overlap"
    assert ends[-1] == whole.hi


def test_the_width_follows_what_chunks_weigh() -> None:
    carver = ChunkAllocator(ChunkRange(0, 1_000_000), 100, target_bytes=1000)
    chunk = carver.next_chunk()
    assert chunk == ChunkRange(0, 100)
    carver.record_timing(chunk, 50, 500, seconds=1, seconds_left=1000)
    assert carver.next_chunk() == ChunkRange(100, 300), "twice as wide: the first was half as heavy as it might be"


def test_an_empty_stretch_is_crossed_fast_but_not_blindly() -> None:
    carver = ChunkAllocator(ChunkRange(0, 10**9), 100, target_bytes=1000)
    chunk = carver.next_chunk()
    assert chunk is not None
    carver.record_timing(chunk, 0, 0, seconds=1, seconds_left=1000)
    assert carver.width == 1600


def test_a_chunk_takes_no_more_than_a_quarter_of_the_time_left() -> None:
    carver = ChunkAllocator(ChunkRange(0, 10**9), 1000, target_bytes=10**9)
    chunk = carver.next_chunk()
    assert chunk is not None
    carver.record_timing(chunk, 10, 10, seconds=10, seconds_left=20)
    assert carver.width == 500


def test_a_chunk_of_one_cannot_be_split() -> None:
    carver = ChunkAllocator(ChunkRange(5, 6), 1, target_bytes=1)
    chunk = carver.next_chunk()
    assert chunk is not None
    assert carver.split_chunk(chunk) is False
    assert carver.next_chunk() is None


def test_the_end_is_shared_between_the_workers() -> None:
    carver = ChunkAllocator(ChunkRange(0, 1000), 900, target_bytes=1, workers=4)
    widths = []
    while (chunk := carver.next_chunk()) is not None:
        widths.append(chunk.width)
    assert max(widths) <= 250
    assert sum(widths) == 1000
