"""Saves a schema as a pg_dump archive without rows, and restores it with pg_restore, section by section.

The archive holds the sections pre-data and post-data, from the snapshot of the rows: types, domains, tables,
sequences, defaults, constraints, indexes, views, functions, triggers, policies, comments, extensions, owners, grants,
and for each materialized view that held rows the REFRESH that fills it again. `--schema-only` was rejected: it leaves
those out. Roles belong to the server, and are not saved. Nor are passwords of other servers (`contents`);
subscriptions, which hold one as well and would tie a copy to that server; or large objects: pg_dump up to 16 counts
them as schema, and they would be restored empty.
`ALTER DATABASE … SET` is saved by `database_settings`.

Rows are loaded between the two sections: triggers and foreign keys do not exist yet, and each index is built once.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from nightshift.backup.contents import read_entries, without_secrets
from nightshift.backup.missing_prerequisites import MissingPrerequisites
from nightshift.backup.pg_tools import PgToolError, PgTools, dbname_argument
from nightshift.backup.preflight import ExistingObjects
from nightshift.backup.target_environment import TargetEnvironment, fit_schema
from nightshift.database.catalog import TableName, quote_identifier
from nightshift.database.connect import Database
from nightshift.database.url import DatabaseTarget

PRE_DATA, POST_DATA = "pre-data", "post-data"
LOCK_WAIT = "10s"
"""Lock timeout of pg_dump."""
_OTHER_ERROR = re.compile(r"^error: (?!could not execute query)(.*)", re.MULTILINE)
_REFRESH = "MATERIALIZED VIEW DATA"
_WITHOUT_OWNERS = ("--no-owner", "--no-privileges")


def dump_schema(
    client: PgTools,
    target: DatabaseTarget,
    *,
    seconds: float,
    snapshot: str | None = None,
    excluded: Sequence[str] = (),
    without: Sequence[TableName] = (),
    unreadable: Sequence[TableName] = (),
) -> tuple[bytes, tuple[str, ...]]:
    """Returns a database's schema as an archive, and the options left out as possible passwords, an object each.

    Args:
        snapshot: None: as it is now.
        excluded: schemas to leave out. To name those that are meant instead (`--schema`) was rejected: pg_dump then
            leaves out extensions and whatever else belongs to no schema, and takes `public`, which every new database
            has, for one to be made.
        without: tables to leave out: those that cannot be locked, for which pg_dump would fail.
        unreadable: sequences that may not be read; since version 18 pg_dump reads the state of each.

    Raises:
        PgToolError: pg_dump failed, e.g. for want of a privilege.
        ArchiveUnknown: pg_dump is of a version whose archives we cannot free of passwords.
        DatabaseUnavailable: the server could not be reached.
    """
    arguments = ["--format=custom", f"--section={PRE_DATA}", f"--section={POST_DATA}"]
    arguments += ["--no-subscriptions", "--no-blobs", dbname_argument(target)]
    # Whoever wants to alter a table waits for the snapshot's locks, and pg_dump would wait behind him without an end.
    arguments.append(f"--lock-wait-timeout={LOCK_WAIT}")
    if snapshot is not None:
        arguments.append(f"--snapshot={snapshot}")
    # Quoted, a pattern is taken to the letter.
    arguments += [f"--exclude-schema={quote_identifier(name)}" for name in excluded]
    arguments += [f"--exclude-table={name.sql}" for name in without]
    arguments += [f"--exclude-table-data={name.sql}" for name in unreadable]
    return without_secrets(client.run_tool("pg_dump", arguments, target=target, seconds=seconds))


def schema_sql(
    client: PgTools, archive: bytes, *, seconds: float, owners: bool = True, without: frozenset[int] = frozenset()
) -> bytes:
    """An archive as SQL, without the entries of some numbers; raises `PgToolError`: it cannot be read."""
    with _file(archive) as path:
        arguments = ["--file=-", *_chosen(path, archive, without), *(() if owners else _WITHOUT_OWNERS), str(path)]
        return client.run_tool("pg_restore", arguments, seconds=seconds)


def fit_restore(
    client: PgTools,
    database: Database,
    archive: bytes,
    around: TargetEnvironment,
    *,
    owners: bool,
    without: frozenset[int] = frozenset(),
) -> tuple[SchemaRestore, tuple[str, ...]]:
    """Returns the restore of an archive that is edited to fit a server, and the differences, a sentence each.

    Raises:
        ArchiveUnknown: it cannot be read.
    """
    fitted, left_out, environment = fit_schema(archive, around, owners=owners, without=without)
    # A superuser gives each object away where it is made; everybody else at the end, see `ownership`.
    given = owners and around.superuser
    lacking = MissingPrerequisites(read_entries(fitted), owners=given, without=left_out)
    return SchemaRestore(client, database, fitted, lacking, owners=given), environment


@dataclass(frozen=True, slots=True)
class SchemaRestore:
    """Restores an archive into one database, until its deadline.

    Attributes:
        owners: owners and grants too; without, all belongs to the role that restores.
        made: numbers of entries that are in the database already.
        there: what a database that was not empty had before; None: it was empty.
    """

    client: PgTools
    database: Database
    archive: bytes = field(repr=False)
    lacking: MissingPrerequisites = field(default_factory=lambda: MissingPrerequisites((), owners=True))
    owners: bool = True
    made: frozenset[int] = frozenset()
    there: ExistingObjects | None = None

    @property
    def seconds_left(self) -> float:
        return self.database.deadline - time.monotonic()

    def restore_pre_data(self, *filters: str) -> None:
        """Restores pre-data in one transaction: all of it (or all that pg_restore's `filters` choose), or nothing.

        Raises:
            PgToolError: the database refused some of it, and has none.
            DatabaseUnavailable: the server could not be reached.
        """
        self._run([*filters, f"--section={PRE_DATA}", "--single-transaction", "--exit-on-error"])

    def restore_pre_data_lenient(self) -> tuple[str, ...]:
        """Restores pre-data as far as possible, if all of it is not; returns and raises as `restore_post_data`."""
        return self._leniently([f"--section={PRE_DATA}"])

    def restore_post_data(self, *, jobs: int) -> tuple[str, ...]:
        """Restores post-data as far as possible.

        An index that cannot be built must not prevent the next ones: a partial restore is better than none.

        Returns what the database refused, a sentence each.

        Raises:
            PgToolError: it did not end in time.
            DatabaseUnavailable: the server could not be reached.
        """
        return self._leniently([f"--section={POST_DATA}", f"--jobs={jobs}"])

    def restore_schema_only(self) -> None:
        """Restores all of it into an empty database that gets no rows; refused objects are left out.

        Materialized views stay empty: their tables are, and there may be much to compute for nothing. Raises as
        `restore_post_data` does.
        """
        refreshed = {entry.id for entry in read_entries(self.archive) if entry.kind == _REFRESH}
        replace(self, made=self.made | refreshed)._leniently([])

    def _leniently(self, arguments: Sequence[str]) -> tuple[str, ...]:
        """Go on behind whatever is refused; returns it."""
        try:
            self._run(arguments)
        except PgToolError as exc:
            others = _OTHER_ERROR.findall(exc.detail or "")
            if not exc.refused and not others:
                raise
            return (*self.lacking.remove_entries(exc.refused), *others)
        return ()

    def _run(self, arguments: Sequence[str]) -> None:
        with _file(self.archive) as path:
            chosen = _chosen(path, self.archive, self.made | self.lacking.entry_ids)
            owners = () if self.owners else _WITHOUT_OWNERS
            target = self.database.target
            everything = [*arguments, *owners, *chosen, dbname_argument(target), str(path)]
            self.client.run_tool("pg_restore", everything, target=target, seconds=self.seconds_left)


def _chosen(path: Path, archive: bytes, without: frozenset[int]) -> Sequence[str]:
    """The argument that names the entries to take; none where all are."""
    if not without:
        return ()
    chosen = path.with_suffix(".list")
    chosen.write_text("".join(f"{entry.id};\n" for entry in read_entries(archive) if entry.id not in without))
    return (f"--use-list={chosen}",)


@contextmanager
def _file(content: bytes) -> Iterator[Path]:
    """Yields the path of the archive on disk, where pg_restore can seek in it; deletes it afterwards."""
    with tempfile.TemporaryDirectory(prefix="nightshift-") as directory:
        path = Path(directory) / "schema.dump"
        path.write_bytes(content)
        yield path
