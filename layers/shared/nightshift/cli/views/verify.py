"""A verification, for people."""

from __future__ import annotations

from collections.abc import Iterator

import click

from nightshift.archive.object_verification import ObjectDamage
from nightshift.archive.verify import VerificationReport
from nightshift.cli.output import format_count, format_size, print_fact

_DEPTHS = {"quick": "by existence and size", "full": "byte by byte", "values": "byte by byte and value by value"}


def show_verification(found: VerificationReport, *, repaired: bool) -> None:
    """Print the verdict, then every object that is not as it should be, by name.

    Args:
        repaired: a repair was asked for; what is left was left on purpose.
    """
    click.echo("\n".join(_lines(found, repaired=repaired)))


def _lines(found: VerificationReport, *, repaired: bool) -> Iterator[str]:
    proven = f"{format_count(found.objects, 'object')}, {format_count(found.rows, 'row')}, {format_size(found.bytes)}"
    yield f"{'sound' if found.is_sound else 'not sound'}: {proven} proven {_DEPTHS[found.depth]}"
    for one in found.damaged:
        yield print_fact("damaged", f"{one.key}: {one.damage}: {one.what}")
    for noted in found.unproven:
        yield print_fact("unproven", f"{noted.key}: {noted.why}")
    for noted in (*found.unfinished, *found.unknown):
        yield print_fact("orphan", f"{noted.key}: {noted.why}")
    for noted in found.in_progress:
        yield print_fact("in progress", f"{noted.key}: {noted.why}")
    for noted in found.overwritten:
        yield print_fact("hidden", f"{noted.key}: {noted.why}; the recorded version is sound")
    for one in found.damaged_restored:
        yield print_fact(
            "restored", f"{one.key}: {one.damage}: {one.what}; its rows are in their table, nothing is lost"
        )
    for done in found.repaired:
        yield print_fact("repaired", f"{done.key}: {done.how}" + (f" to {done.to}" if done.to else ""))
    if any(one.damage != ObjectDamage.FROZEN.value for one in found.damaged):
        yield "look for older versions of the damaged objects in the bucket, or for a copy in another region"
    if (found.unfinished or found.unknown) and not repaired:
        yield "nightshift verify --repair takes the orphans out of the readers' sight"
