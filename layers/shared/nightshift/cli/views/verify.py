"""A verification, for people."""

from __future__ import annotations

from collections.abc import Iterator

import click

from nightshift.archive.proof import Damage
from nightshift.archive.verify import Verification
from nightshift.cli.output import count, fact, size

_DEPTHS = {"quick": "by existence and size", "full": "byte by byte", "values": "byte by byte and value by value"}


def show(found: Verification, *, repaired: bool) -> None:
    """Print the verdict, then every object that is not as it should be, by name.

    Args:
        repaired: a repair was asked for; what is left was left on purpose.
    """
    click.echo("\n".join(_lines(found, repaired=repaired)))


def _lines(found: Verification, *, repaired: bool) -> Iterator[str]:
    proven = f"{count(found.objects, 'object')}, {count(found.rows, 'row')}, {size(found.bytes)}"
    yield f"{'sound' if found.sound else 'not sound'}: {proven} proven {_DEPTHS[found.depth]}"
    for one in found.damaged:
        yield fact("damaged", f"{one.key}: {one.damage}: {one.what}")
    for noted in found.unproven:
        yield fact("unproven", f"{noted.key}: {noted.why}")
    for noted in (*found.unfinished, *found.unknown):
        yield fact("orphan", f"{noted.key}: {noted.why}")
    for noted in found.in_progress:
        yield fact("in progress", f"{noted.key}: {noted.why}")
    for noted in found.overwritten:
        yield fact("hidden", f"{noted.key}: {noted.why}; the recorded version is sound")
    for one in found.damaged_restored:
        yield fact("restored", f"{one.key}: {one.damage}: {one.what}; its rows are in their table, nothing is lost")
    for done in found.repaired:
        yield fact("repaired", f"{done.key}: {done.how}" + (f" to {done.to}" if done.to else ""))
    if any(one.damage != Damage.FROZEN.value for one in found.damaged):
        yield "look for older versions of the damaged objects in the bucket, or for a copy in another region"
    if (found.unfinished or found.unknown) and not repaired:
        yield "nightshift verify --repair takes the orphans out of the readers' sight"
