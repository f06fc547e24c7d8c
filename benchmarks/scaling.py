"""`python -m benchmarks.scaling`: does the time grow with the table as it should?

Two questions. Without an index on the timestamp: is the time for a row the same in a table four times as large?
With one: is the part of the table that is read the part that is overdue?

Blocks are counted by the server, from an empty buffer cache large enough for them: `heap_blks_read` of
`pg_statio_user_tables` then counts each block once. Autovacuum is off, so that all of them are ours.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from datetime import timedelta

import click

from benchmarks.arena import COPY, SERVER_SETTINGS, Arena
from benchmarks.contestants import nightshift
from benchmarks.reference import END
from local.chatlog import TABLE
from local.postgres import EmbeddedPostgres
from local.s3 import EmbeddedS3

RETENTION = timedelta(days=30)
TABLE_DAYS, OVERDUE_DAYS = 60, 2
"""One thirtieth is overdue."""


@dataclass(frozen=True, slots=True)
class Growth:
    """Time for a row, microseconds, in a small and a large table without an index."""

    small_rows: int
    large_rows: int
    small_us: float
    large_us: float
    ratio: float


@dataclass(frozen=True, slots=True)
class Reach:
    """How much of an indexed table was read to archive its overdue part.

    Attributes:
        overdue_share: rows archived / rows.
        blocks_share: blocks of the table read / its blocks.
        index_blocks: blocks of its indexes read.
        accesses: buffer accesses, the same block counted each time, to the table and its indexes.
    """

    rows: int
    overdue_rows: int
    overdue_share: float
    blocks: int
    blocks_read: int
    blocks_share: float
    index_blocks: int
    accesses: int
    seconds: float


def growth(place: Arena, small: int, large: int, rounds: int) -> Growth:
    """The quickest of some rounds at each size: what the machine does meanwhile only ever adds."""
    best: dict[int, float] = {}
    for rows in (small, large):
        place.build(rows, indexed=False)
        for _ in range(rounds):
            with place.fresh(rows, indexed=False) as url:
                measured = nightshift(place, url)
                if measured.rows != rows or place.rows_left():
                    raise click.ClickException(f"{measured.rows} of {rows} rows were archived")
            _say(f"no index, {rows:,} rows: {measured.seconds:.2f} s")
            best[rows] = min(best.get(rows, measured.seconds), measured.seconds)
    small_us, large_us = (best[rows] / rows * 1e6 for rows in (small, large))
    return Growth(small, large, round(small_us, 3), round(large_us, 3), round(large_us / small_us, 3))


def reach(place: Arena, rows: int) -> Reach:
    """Archive the oldest two days of sixty and count what was read.

    An earlier run found nothing due, as on any night but the first: the guard for abnormal volume is awake.
    """
    place.build(rows, days=TABLE_DAYS)
    first_day = END - timedelta(days=TABLE_DAYS) + RETENTION
    with place.fresh(rows) as url:
        nightshift(place, url, first_day)
        place.postgres.restart()
        before = _blocks(place)
        measured = nightshift(place, url, first_day + timedelta(days=OVERDUE_DAYS))
        after = _blocks(place)
        [(size,)] = place.postgres.execute(f"SELECT pg_relation_size('{TABLE}') / 8192", COPY)
    heap, index, accesses = (now - then for now, then in zip(after, before, strict=True))
    blocks = int(str(size))
    return Reach(
        rows=rows,
        overdue_rows=measured.rows,
        overdue_share=round(measured.rows / rows, 4),
        blocks=blocks,
        blocks_read=heap,
        blocks_share=round(heap / blocks, 4),
        index_blocks=index,
        accesses=accesses,
        seconds=round(measured.seconds, 3),
    )


def _blocks(place: Arena) -> tuple[int, int, int]:
    """Blocks of the table read, of its indexes, and all accesses, since the statistics began."""
    [found] = place.postgres.execute(
        "SELECT heap_blks_read, idx_blks_read, heap_blks_read + heap_blks_hit + idx_blks_read + idx_blks_hit"
        f" FROM pg_statio_user_tables WHERE relname = '{TABLE}'",
        COPY,
    )
    heap, index, accesses = (int(str(number)) for number in found)
    return heap, index, accesses


@click.command()
@click.option("--small", type=click.IntRange(min=1), default=1_000_000, show_default=True)
@click.option("--large", type=click.IntRange(min=1), default=4_000_000, show_default=True)
@click.option("--indexed-rows", type=click.IntRange(min=1), default=6_000_000, show_default=True)
@click.option("--rounds", type=click.IntRange(min=1), default=2, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout, nothing else.")
def main(small: int, large: int, indexed_rows: int, rounds: int, as_json: bool) -> None:
    """Measure growth and reach."""
    settings = {**SERVER_SETTINGS, "autovacuum": "off"}
    with EmbeddedPostgres(settings=settings) as postgres, EmbeddedS3() as s3:
        place = Arena(postgres, s3)
        grown, reached = growth(place, small, large, rounds), reach(place, indexed_rows)
    if as_json:
        click.echo(json.dumps({"growth": asdict(grown), "reach": asdict(reached)}))
        return
    click.echo(
        f"without an index: {grown.small_us:.2f} µs a row at {small:,} rows, {grown.large_us:.2f} at {large:,}:"
        f" ratio {grown.ratio:.2f}\n"
        f"with an index: {reached.overdue_share:.2%} of {indexed_rows:,} rows overdue, {reached.blocks_share:.2%} of"
        f" {reached.blocks:,} blocks read ({reached.index_blocks:,} of the indexes besides), {reached.seconds:.2f} s"
    )


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
