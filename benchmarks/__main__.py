"""`python -m benchmarks`: every contestant in turn, round by round, on fresh copies of the same table."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from benchmarks.arena import Arena, arena, machine
from benchmarks.contestants import CONTESTANTS, Contestant, peers_python
from benchmarks.report import ratios, summary, table
from benchmarks.restoring import HOW, compare
from benchmarks.stopwatch import Measured

BUSY = 0.3
"""Load for each core, before we begin, above which the reader is warned."""


@click.command()
@click.option("--rows", type=click.IntRange(min=1), default=1_000_000, show_default=True)
@click.option("--rounds", type=click.IntRange(min=1), default=3, show_default=True)
@click.option(
    "--peer-rows", type=click.IntRange(min=1), default=500_000, show_default=True, help="Most rows for peers."
)
@click.option("--only", default="", help="Names, separated by commas: psql,nightshift,awswrangler,seed.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout, nothing else.")
def main(rows: int, rounds: int, peer_rows: int, only: str, as_json: bool) -> None:
    """Archive and delete every row of a reference table, by nightshift and by its peers."""
    chosen = _chosen(only)
    runs: dict[str, list[Measured]] = {contestant.name: [] for contestant in chosen}
    with arena() as place:
        measured_on = machine(place)
        if measured_on["load_average"] > BUSY * measured_on["cores"]:
            _say(f"this machine is busy (load {measured_on['load_average']}): expect times that are too long")
        for size in {_size(contestant, rows, peer_rows) for contestant in chosen}:
            _say(f"building the reference table: {size:,} rows")
            place.build(size)
        for number in range(1, rounds + 1):
            for contestant in chosen:
                measured = _run(place, contestant, _size(contestant, rows, peer_rows))
                runs[contestant.name].append(measured)
                _say(
                    f"round {number}/{rounds} {contestant.name}: {measured.seconds:.2f} s for {measured.rows:,} rows,"
                    f" peak {measured.peak_mb:.0f} MB"
                )
        contestants = {name: summary(found, rows) for name, found in runs.items()}
        result = {
            "rows": rows,
            "rounds": rounds,
            "machine": measured_on,
            "contestants": contestants,
            "ratios": ratios(contestants),
        }
        if {"psql", "nightshift"} <= runs.keys():
            result["restore"] = _restore(place, rows, rounds)
    how = {contestant.name: contestant.how for contestant in chosen}
    click.echo(json.dumps(result) if as_json else table(result, how, HOW))


def _restore(place: Arena, rows: int, rounds: int) -> dict[str, Any]:
    try:
        return compare(place, rows, rounds, _say)
    except (ChildProcessError, AssertionError) as exc:
        raise click.ClickException(f"restore: {exc}") from exc


def _chosen(only: str) -> list[Contestant]:
    names = [name.strip() for name in only.split(",") if name.strip()]
    known = {contestant.name for contestant in CONTESTANTS}
    if unknown := set(names) - known:
        raise click.BadParameter(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(sorted(known))}")
    chosen = [contestant for contestant in CONTESTANTS if not names or contestant.name in names]
    if any(contestant.is_peer for contestant in chosen):
        peers_python()  # before minutes of work, not after
    return chosen


def _size(contestant: Contestant, rows: int, peer_rows: int) -> int:
    return min(rows, peer_rows) if contestant.is_peer else rows


def _run(place: Arena, contestant: Contestant, rows: int) -> Measured:
    """One run, proven: it says that it moved every row, and none is left."""
    with place.fresh(rows) as url:
        try:
            measured = contestant.run(place, url)
        except ChildProcessError as exc:
            raise click.ClickException(f"{contestant.name}: {exc}") from exc
        left = place.rows_left()
    if measured.rows != rows or left:
        raise click.ClickException(f"{contestant.name} moved {measured.rows} of {rows} rows and left {left}")
    return measured


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
