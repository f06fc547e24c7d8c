"""The backups that there are, for people and for programs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import click

from nightshift.backup.inventory import FoundBackup
from nightshift.backup.pins import BackupPin
from nightshift.cli.output import format_moment, format_size, print_fact, print_table


def show_backups(place: str, backups: Sequence[FoundBackup], zone: ZoneInfo, now: datetime) -> None:
    """Print a line a backup, and below them what is wrong or missing.

    Args:
        now: aware; pins that are over by then are not shown.
    """
    if not backups:
        click.echo(f"there is no backup in {place}")
        return
    click.echo(f"the backups in {place}\n")
    lines = [_line(one, zone, now) for one in backups]
    print_table(("backup", "state", "proven", "pinned", "tables", "rows", "size"), lines, text=4)
    for one in backups:
        if one.pin is not None and one.is_pinned(now) and one.pin.reason:
            click.echo(f"\n{one.name}: pinned\n{print_fact('reason', one.pin.reason)}")
        for reason in one.reasons[:10]:
            click.echo(f"\n{one.name}: {one.state}\n{print_fact('damage', reason)}")
        for sentence in one.proven.but_for if one.proven else ():
            click.echo(f"\n{one.name}: proven, but for\n{print_fact('not proven', sentence)}")
        for missing in one.manifest.missing if one.manifest else ():
            click.echo(f"\n{one.name}: does not hold\n{print_fact('missing', missing)}")


def to_json(backup: FoundBackup, now: datetime) -> dict[str, Any]:
    """One backup's facts at an aware time."""
    manifest, stamp, pin = backup.manifest, backup.proven, backup.pin
    return {
        "name": backup.name,
        "state": backup.state.value,
        "proven": backup.is_proven,
        "proven_but_for": list(stamp.but_for) if stamp else [],
        "proven_at": stamp.proven_at.isoformat() if stamp else None,
        "pinned": backup.is_pinned(now),
        "pinned_until": pin.until.isoformat() if pin and pin.until else None,
        "pin_reason": pin.reason if pin else None,
        "as_of": manifest.as_of.isoformat() if manifest else None,
        "database": manifest.database if manifest else None,
        "server_version": manifest.server_version if manifest else None,
        "groups": len(manifest.groups) if manifest else None,
        "tables": len(manifest.tables) if manifest else None,
        "rows": manifest.rows if manifest else None,
        "bytes": backup.bytes,
        "objects": backup.objects,
        "reasons": list(backup.reasons),
        "missing": list(manifest.missing) if manifest else [],
        "remarks": list(backup.remarks),
    }


def _line(one: FoundBackup, zone: ZoneInfo, now: datetime) -> tuple[str, ...]:
    proven = format_moment(one.proven.proven_at.astimezone(zone)) if one.proven else "-"
    pinned = _until(one.pin, zone) if one.pin is not None and one.is_pinned(now) else "-"
    tables, rows = (f"{len(one.manifest.tables):,}", f"{one.manifest.rows:,}") if one.manifest else ("-", "-")
    return (one.name, one.state.value, proven, pinned, tables, rows, format_size(one.bytes))


def _until(pin: BackupPin, zone: ZoneInfo) -> str:
    return "yes" if pin.until is None else f"until {format_moment(pin.until.astimezone(zone))}"
