"""Data classes of which a manifest consists, as its JSON has them.

JSON is read strictly: an unknown key, a missing one, or a value of another type is an error that names the field.
"""

from __future__ import annotations

from dataclasses import Field, dataclass, field
from datetime import datetime
from functools import cache
from typing import Any, ClassVar, TypeVar, cast

from pydantic import ConfigDict, TypeAdapter, ValidationError

from nightshift.database.catalog import TableName
from nightshift.errors import NightshiftError

HINT = "take another backup; this one was altered, or written by a newer nightshift: see who writes under BACKUP_PREFIX"

T = TypeVar("T")

_adapter = cache(TypeAdapter)
"""Built when the first one is read: a run that only writes does without."""


class ManifestDamaged(NightshiftError):
    """A manifest or a verification record is not as it was written; objects beside it do not make it a backup."""


class StrictModel:
    """A dataclass that pydantic reads: no unknown key, no value of another type."""

    __slots__ = ()
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True)


def parse_strict(kind: type[T], body: bytes, key: str) -> T:
    """Read the JSON of the object `key`.

    Raises:
        ManifestDamaged: it is none of this kind.
    """
    reader: TypeAdapter[T] = _adapter(cast("Any", kind))
    try:
        return reader.validate_json(body)
    except ValidationError as exc:
        first = exc.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ManifestDamaged(
            f"{key.rpartition('/')[2]} cannot be read",
            detail=f"{key}: {where}: {first['msg']}" if where else f"{key}: {first['msg']}",
            hint=HINT,
        ) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedObject(StrictModel):
    """The object that a part shares with others.

    Attributes:
        offset: of the part's first byte in the object.
        bytes, sha256: of the whole object.
    """

    offset: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupPart(StrictModel):
    """One object, or some of the bytes of one.

    Attributes:
        key: of the object, relative to the backup's folder.
        rows: in a Parquet file, lines or events in one of logs; 0 in others.
        sha256: hex, of its bytes.
        pack: of a small table's file, which lies in a pack of `uploader`; None: the object is this part alone.
    """

    key: str
    rows: int
    bytes: int
    sha256: str
    pack: SharedObject | None = None

    @property
    def object(self) -> BackupPart:
        """The whole object that the part lies in."""
        return BackupPart(key=self.key, rows=0, bytes=self.pack.bytes, sha256=self.pack.sha256) if self.pack else self


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedColumn(StrictModel):
    """A column whose values were saved; `type` as the database declares it."""

    name: str
    type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ComputedColumn(StrictModel):
    """A stored generated column, whose values a restore computes anew; `digest` is of the rows with its values."""

    name: str
    type: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedRelation(StrictModel):
    """A relation of the saved database; `schema` is empty for SQLite."""

    schema: str
    name: str

    @property
    def table(self) -> TableName:
        return TableName(self.schema, self.name)

    @property
    def label(self) -> str:
        """As `TableName.label`."""
        return self.table.label


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewEntry(SavedRelation):
    """A materialized view that held rows, which a restore fills by its query; `digest` is of the rows that it held."""

    rows: int
    digest: str
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TableEntry(SavedRelation):
    """One table that holds rows itself: a plain one, or a leaf partition; without the rows of its children.

    SQLite's one entry is the database file.

    Attributes:
        rows: how many were saved; SQLite: in all tables of the file.
        digest: see `digest`; SQLite: SHA-256 of the file, whose pieces the parts are, in their order.
        columns: in the order of the table; values of generated ones are not saved.
        parts: none for an empty table.
        computed: the stored generated columns; backups of older versions know of none.
    """

    rows: int
    digest: str
    bytes: int
    columns: tuple[SavedColumn, ...]
    parts: tuple[BackupPart, ...]
    computed: tuple[ComputedColumn, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceState(SavedRelation):
    """State of a sequence at the snapshot or later, never before (PostgreSQL keeps no older state of it)."""

    last_value: int
    is_called: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseGrant(StrictModel):
    """A privilege on the database; `role` is None for PUBLIC."""

    role: str | None
    privilege: str
    grantable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtensionVersion(StrictModel):
    """An installed extension."""

    name: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseProperties(StrictModel):
    """The properties of a database besides its contents.

    Attributes:
        connection_limit: -1: none.
        provider: of the collation: `c` (libc), `i` (ICU) or `b` (builtin).
        locale, rules: of ICU and builtin ones.
        collation_version: as the collation's library reported it when the database was created.
        grants: of all but the owner; those by default are spelt out.
    """

    owner: str
    comment: str | None
    connection_limit: int
    is_template: bool
    tablespace: str
    encoding: str
    collate: str
    ctype: str
    provider: str
    locale: str | None
    rules: str | None
    collation_version: str | None
    grants: tuple[DatabaseGrant, ...]
    extensions: tuple[ExtensionVersion, ...]

    def locale_words(self) -> str:
        """The collation, for people."""
        names = [self.collate, *([self.ctype] if self.ctype != self.collate else [])]
        names += [f"{'ICU' if self.provider == 'i' else 'builtin'} {self.locale}"] if self.locale else []
        return ", ".join([*names, *([f"rules {self.rules}"] if self.rules else [])])


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseSetting(StrictModel):
    """A setting of `ALTER DATABASE … SET`; with `role`, for that role's sessions alone.

    `value` is as pg_db_role_setting has it. No report tells it: people keep keys of their applications there.
    """

    role: str | None
    name: str
    value: str = field(repr=False)

    @property
    def label(self) -> str:
        return f"setting {self.name}" + (f" of role {self.role}" if self.role is not None else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotGroup(StrictModel):
    """Tables of one moment; `tables` are their labels."""

    snapshot_time: datetime
    tables: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaFiles(StrictModel):
    """The schema: as pg_restore reads it, and as people do; None where no client was to be had (see `missing`)."""

    dump: BackupPart | None = None
    sql: BackupPart | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogCheckpoint(StrictModel):
    """Position from which the next backup continues with logs that this one has saved only in part.

    Attributes:
        group: of CloudWatch; or a directory's, as `logs.day` calls it.
        from_ms: milliseconds since 1970.
        ids: of that millisecond's events that are saved.
    """

    group: str
    from_ms: int
    ids: tuple[str, ...] = ()
