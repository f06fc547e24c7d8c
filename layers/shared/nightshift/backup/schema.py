"""Saves a schema as a pg_dump archive without rows, and restores it with pg_restore, section by section.

The archive holds the sections pre-data and post-data, from the snapshot of the rows: types, domains, tables,
sequences, defaults, constraints, indexes, views, functions, triggers, policies, comments, extensions, owners, grants,
and for each materialized view that held rows the REFRESH that fills it. `--schema-only` was rejected, because it leaves
REFRESH out. Roles belong to the server, and are not saved. Passwords of other servers are not saved (`contents`).
Subscriptions are not saved, because they hold a password and would connect a copy to the other server. Large objects
are not saved: pg_dump up to 16 treats them as schema, and would restore them empty. `database_settings` saves
`ALTER DATABASE … SET`.

Rows are loaded between the two sections, because triggers and foreign keys do not exist then, and each index is built
once.
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
    """Returns a database's schema as an archive, and one string per object with removed options (possible passwords).

    Args:
        snapshot: id of the snapshot to read; None: the present state.
        excluded: schemas to leave out. Naming the wanted schemas (`--schema`) was rejected: pg_dump then leaves out
            extensions and other objects without a schema, and creates `public`, which every new database has.
        without: tables to leave out, because they cannot be locked and pg_dump would fail.
        unreadable: sequences that the role may not read. pg_dump 18 and later reads the state of each sequence.

    Raises:
        PgToolError: pg_dump failed, e.g. because of a missing privilege.
        ArchiveUnknown: pg_dump has a version from whose archives passwords cannot be removed.
        DatabaseUnavailable: the server could not be reached.
    """
    arguments = ["--format=custom", f"--section={PRE_DATA}", f"--section={POST_DATA}"]
    arguments += ["--no-subscriptions", "--no-blobs", dbname_argument(target)]
    # A session that alters a table waits for the snapshot's locks, and pg_dump would wait for this session forever.
    arguments.append(f"--lock-wait-timeout={LOCK_WAIT}")
    if snapshot is not None:
        arguments.append(f"--snapshot={snapshot}")
    # pg_dump reads a quoted pattern literally.
    arguments += [f"--exclude-schema={quote_identifier(name)}" for name in excluded]
    arguments += [f"--exclude-table={name.sql}" for name in without]
    arguments += [f"--exclude-table-data={name.sql}" for name in unreadable]
    return without_secrets(client.run_tool("pg_dump", arguments, target=target, seconds=seconds))


def schema_sql(
    client: PgTools, archive: bytes, *, seconds: float, owners: bool = True, without: frozenset[int] = frozenset()
) -> bytes:
    """Returns an archive as SQL, without the entries `without`. Raises `PgToolError`: the archive cannot be read."""
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
    """Returns the restore of an archive that is edited to fit a server, and one sentence for each difference.

    Raises:
        ArchiveUnknown: the archive cannot be read.
    """
    fitted, left_out, environment = fit_schema(archive, around, owners=owners, without=without)
    # A superuser transfers each object when it is created; other roles transfer objects at the end, see `ownership`.
    given = owners and around.superuser
    lacking = MissingPrerequisites(read_entries(fitted), owners=given, without=left_out)
    return SchemaRestore(client, database, fitted, lacking, owners=given), environment


@dataclass(frozen=True, slots=True)
class SchemaRestore:
    """Restores an archive into one database, until its deadline.

    Attributes:
        lacking: objects that the role cannot create.
        owners: restore owners and grants as well. If False, the restoring role owns all objects.
        made: numbers of entries that the database has already.
        there: objects that the database had before the restore; None: the database was empty.
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
        """Restore pre-data in one transaction: all entries (that pg_restore's `filters` choose), or no entry.

        Raises:
            PgToolError: the database refused an entry. No entry was restored.
            DatabaseUnavailable: the server could not be reached.
        """
        self._run([*filters, f"--section={PRE_DATA}", "--single-transaction", "--exit-on-error"])

    def restore_pre_data_lenient(self) -> tuple[str, ...]:
        """Restore the pre-data that the server does not refuse. Returns and raises like `restore_post_data`."""
        return self._leniently([f"--section={PRE_DATA}"])

    def restore_post_data(self, *, jobs: int) -> tuple[str, ...]:
        """Restore the post-data that the server does not refuse.

        An index that cannot be built does not prevent the next indexes: a partial restore is better than no restore.

        Returns one sentence for each refusal of the server.

        Raises:
            PgToolError: pg_restore did not end in time.
            DatabaseUnavailable: the server could not be reached.
        """
        return self._leniently([f"--section={POST_DATA}", f"--jobs={jobs}"])

    def restore_schema_only(self) -> None:
        """Restore the whole schema into an empty database that gets no rows. Refused objects are left out.

        Materialized views stay empty, because their tables are empty and a REFRESH may be slow. Raises like
        `restore_post_data`.
        """
        refreshed = {entry.id for entry in read_entries(self.archive) if entry.kind == _REFRESH}
        replace(self, made=self.made | refreshed)._leniently([])

    def _leniently(self, arguments: Sequence[str]) -> tuple[str, ...]:
        """Run pg_restore, which continues after refused statements. Returns one sentence for each refusal."""
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
    """Returns pg_restore's argument that lists the entries to restore; empty: all entries are restored."""
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
