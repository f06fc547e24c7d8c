"""The backups that there are, for people and for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

import click

from nightshift.backup.inventory import FoundBackup
from nightshift.cli.output import fact, moment, print_table, size


def show(place: str, backups: Sequence[FoundBackup], zone: ZoneInfo) -> None:
    """Print a line a backup, and below them what is wrong or missing."""
    if not backups:
        click.echo(f"there is no backup in {place}")
        return
    click.echo(f"the backups in {place}\n")
    lines = [_line(one, zone) for one in backups]
    print_table(("backup", "state", "proven", "tables", "rows", "size"), lines, text=3)
    for one in backups:
        for reason in one.reasons[:10]:
            click.echo(f"\n{one.name}: {one.state}\n{fact('damage', reason)}")
        for missing in one.manifest.missing if one.manifest else ():
            click.echo(f"\n{one.name}: does not hold\n{fact('missing', missing)}")


def to_json(backup: FoundBackup) -> dict[str, Any]:
    """One backup's facts."""
    manifest, stamp = backup.manifest, backup.proven
    return {
        "name": backup.name,
        "state": backup.state.value,
        "proven": backup.is_proven,
        "proven_at": stamp.proven_at.isoformat() if stamp else None,
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


def _line(one: FoundBackup, zone: ZoneInfo) -> tuple[str, ...]:
    proven = moment(one.proven.proven_at.astimezone(zone)) if one.proven else "-"
    tables, rows = (f"{len(one.manifest.tables):,}", f"{one.manifest.rows:,}") if one.manifest else ("-", "-")
    return (one.name, one.state.value, proven, tables, rows, size(one.bytes))
