"""`nightshift backups`: lists the backups with their states. `backups pin` exempts a backup from retention.

`backups unpin` ends the exemption.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from nightshift.cli.failures import ExitCode
from nightshift.cli.options import DayParameter, json_option
from nightshift.cli.output import format_moment, print_fact, print_json, print_table
from nightshift.results.units import format_size

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from nightshift.backup.inventory import BackupPin, FoundBackup

EPILOG = """
\b
Environment: BACKUP_BUCKET (ARCHIVE_BUCKET), BACKUP_PREFIX, TIMEZONE, and AWS's own. The database is not read: it may
  be lost.

\b
Exit status: 0 all are sound   1 failed   2 not understood   3 one is damaged

\b
Examples:
  nightshift backups
  nightshift backups --deep
  nightshift backups --json | jq -r '.backups[] | select(.proven) | .name'
  nightshift backups pin backup_2025_10_21_1400
"""

PIN_EPILOG = """
\b
Environment: BACKUP_BUCKET (ARCHIVE_BUCKET), BACKUP_PREFIX, TIMEZONE, and AWS's own.

\b
Exit status: 0 done, 1 failed, 2 not understood.

\b
Examples:
  nightshift backups {example}
"""
PIN_EXAMPLE = 'pin backup_2025_10_21_1400 --until 2026-01-31 --reason "before the migration"'
UNPIN_EXAMPLE = "unpin backup_2025_10_21_1400"


@click.group(
    "backups",
    short_help="List the backups; pin one.",
    epilog=EPILOG,
    invoke_without_command=True,
    subcommand_metavar="[pin NAME | unpin NAME]",
)
@click.option("--deep", is_flag=True, help="Read every object, and compare its SHA-256.")
@json_option
@click.pass_context
def backups_command(ctx: click.Context, deep: bool, as_json: bool) -> None:
    """List every backup, newest first: its state, its contents, and whether a restore drill has proven it.

    A backup is good if it is finished and none of its objects is missing.
    """
    if ctx.invoked_subcommand:
        if deep or as_json:
            raise click.UsageError(f"options go behind {ctx.invoked_subcommand}")
        return
    from nightshift.backup.inventory import BackupState, find_backups
    from nightshift.cli import context, progress

    with context.redirect_output(verbose=ctx.obj), progress.show_progress("reading backups", "objects"):
        wiring = context.make_wiring()
        shelf, zone = context.backup_shelf(wiring)
        backups = find_backups(shelf.store, shelf.prefix, deep=deep)
    place = f"s3://{shelf.store.bucket}/{shelf.prefix}"
    if as_json:
        print_json({"place": place, "backups": [_as_json(backup, wiring.now()) for backup in backups]})
    else:
        show_backups(place, backups, zone, wiring.now())
    ctx.exit(ExitCode.PARTIAL if any(backup.state is BackupState.DAMAGED for backup in backups) else ExitCode.DONE)


@backups_command.command(
    "pin", short_help="Exempt a backup from retention.", epilog=PIN_EPILOG.format(example=PIN_EXAMPLE)
)
@click.argument("name")
@click.option("--until", type=DayParameter(), help="Last day, included, in TIMEZONE. Default: no end.")
@click.option("--reason", default="", help="Reason, stored with the pin.")
@json_option
@click.pass_context
def pin_command(ctx: click.Context, name: str, until: date | None, reason: str, as_json: bool) -> None:
    """Exempt a backup from retention until the pin ends. A new pin replaces an earlier one.

    S3's lifecycle rules do not respect pins.
    """
    from nightshift.backup.inventory import BackupPin, pin_backup
    from nightshift.backup.opened_backup import OpenedBackup
    from nightshift.cli import context

    with context.redirect_output(verbose=ctx.obj):
        wiring = context.make_wiring()
        shelf, zone = context.backup_shelf(wiring)
        now = wiring.now()
        end = _end_of(until, zone)
        if end is not None and end <= now:
            raise click.BadParameter(f"{until} is over", param_hint="--until")
        place = OpenedBackup.open_named(shelf.store, shelf.prefix, name).place
        pin_backup(shelf.store, place, BackupPin(name=name, pinned_at=now, until=end, reason=reason))
    if as_json:
        print_json({"name": name, "pinned": True, "pinned_until": end.isoformat() if end else None})
    else:
        click.echo(f"{name} is kept {f'until {until}, that day included' if until else 'without an end'}")


@backups_command.command(
    "unpin", short_help="Return a backup to retention.", epilog=PIN_EPILOG.format(example=UNPIN_EXAMPLE)
)
@click.argument("name")
@json_option
@click.pass_context
def unpin_command(ctx: click.Context, name: str, as_json: bool) -> None:
    """Delete a backup's pin. The next run of `backup` applies retention to it."""
    from nightshift.backup.inventory import unpin_backup
    from nightshift.backup.opened_backup import OpenedBackup
    from nightshift.cli import context

    with context.redirect_output(verbose=ctx.obj):
        shelf, _ = context.backup_shelf(context.make_wiring())
        was_pinned = unpin_backup(shelf.store, OpenedBackup.open_named(shelf.store, shelf.prefix, name).place)
    if as_json:
        print_json({"name": name, "pinned": False, "was_pinned": was_pinned})
    else:
        click.echo(f"{name} {'is not pinned any more' if was_pinned else 'was not pinned'}")


def _end_of(day: date | None, zone: ZoneInfo) -> datetime | None:
    """Returns the end of a day in a time zone, as UTC; None for None."""
    if day is None:
        return None
    return datetime.combine(day + timedelta(days=1), datetime.min.time(), zone).astimezone(UTC)


def show_backups(place: str, backups: Sequence[FoundBackup], zone: ZoneInfo, now: datetime) -> None:
    """Prints one line per backup, then the reasons of pins, damage, and content that a backup does not hold.

    Args:
        now: aware time. Pins that end before this time are not shown.
    """
    if not backups:
        click.echo(f"there is no backup in {place}")
        return
    click.echo(f"the backups in {place}\n")
    lines = [_line(backup, zone, now) for backup in backups]
    print_table(("backup", "state", "proven", "pinned", "tables", "rows", "size"), lines, text=4)
    for backup in backups:
        if backup.pin is not None and backup.is_pinned(now) and backup.pin.reason:
            click.echo(f"\n{backup.name}: pinned\n{print_fact('reason', backup.pin.reason)}")
        for reason in backup.reasons[:10]:
            click.echo(f"\n{backup.name}: {backup.state}\n{print_fact('damage', reason)}")
        for sentence in backup.proven.but_for if backup.proven else ():
            click.echo(f"\n{backup.name}: proven, but for\n{print_fact('not proven', sentence)}")
        for missing in backup.manifest.missing if backup.manifest else ():
            click.echo(f"\n{backup.name}: does not hold\n{print_fact('missing', missing)}")


def _as_json(backup: FoundBackup, now: datetime) -> dict[str, Any]:
    """Returns one backup's facts for the JSON answer. `now`, an aware time, decides whether a pin is over."""
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


def _line(backup: FoundBackup, zone: ZoneInfo, now: datetime) -> tuple[str, ...]:
    proven = format_moment(backup.proven.proven_at.astimezone(zone)) if backup.proven else "-"
    pinned = _until(backup.pin, zone) if backup.pin is not None and backup.is_pinned(now) else "-"
    tables, rows = (f"{len(backup.manifest.tables):,}", f"{backup.manifest.rows:,}") if backup.manifest else ("-", "-")
    return (backup.name, backup.state.value, proven, pinned, tables, rows, format_size(backup.bytes))


def _until(pin: BackupPin, zone: ZoneInfo) -> str:
    return "yes" if pin.until is None else f"until {format_moment(pin.until.astimezone(zone))}"
