"""Data classes for the JSON of a manifest.

JSON is read strictly: an unknown key, a missing key, or a value of another type is an error that names the field.
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
"""Returns the reader of a class, built on first use. A run that only writes builds no reader."""


class ManifestDamaged(NightshiftError):
    """A manifest, a verification record or a pin was altered, or cannot be read."""


class StrictModel:
    """Base class of dataclasses that pydantic reads strictly: no unknown key, no value of another type."""

    __slots__ = ()
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True)


def parse_strict(kind: type[T], body: bytes, key: str) -> T:
    """Returns an instance of `kind` from JSON. `key` is the object's key, for messages.

    Raises:
        ManifestDamaged: the JSON does not fit `kind`.
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
    """The object that a part shares with other parts.

    Attributes:
        offset: position of the part's first byte in the object.
        bytes, sha256: size and hash of the whole object.
    """

    offset: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupPart(StrictModel):
    """One object, or a range of bytes of one object.

    Attributes:
        key: the object's key, relative to the backup's folder.
        rows: rows of a table, or lines or events of logs; 0 for other parts.
        sha256: SHA-256 of the part's bytes, in hex.
        pack: the pack (see `uploader`) that holds the part, a small table's file; None: the part is a whole object.
    """

    key: str
    rows: int
    bytes: int
    sha256: str
    pack: SharedObject | None = None

    @property
    def object(self) -> BackupPart:
        """Returns the whole object that contains the part."""
        return BackupPart(key=self.key, rows=0, bytes=self.pack.bytes, sha256=self.pack.sha256) if self.pack else self


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedColumn(StrictModel):
    """A column whose values were saved. `type` is the declared type."""

    name: str
    type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ComputedColumn(SavedColumn):
    """A stored generated column. A restore computes its values anew. `digest` covers the rows with its values."""

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
        """Returns `TableName.label` of the relation."""
        return self.table.label


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewEntry(SavedRelation):
    """A materialized view that held rows. A restore fills it by its query. `digest` covers the rows that it held."""

    rows: int
    digest: str
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TableEntry(SavedRelation):
    """One table that holds rows itself: a plain table or a leaf partition, without the rows of child tables.

    In a backup of SQLite, the only entry is the database file.

    Attributes:
        rows: number of saved rows; SQLite: number of rows in all tables of the file.
        digest: see the module `digest`; SQLite: SHA-256 of the file.
        columns: columns in the order of the table, without generated columns.
        parts: the saved parts; empty for an empty table; SQLite: the pieces of the file, in order.
        computed: the stored generated columns; empty in backups of older versions.
    """

    rows: int
    digest: str
    bytes: int
    columns: tuple[SavedColumn, ...]
    parts: tuple[BackupPart, ...]
    computed: tuple[ComputedColumn, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceState(SavedRelation):
    """State of a sequence at the time of the snapshot or later. PostgreSQL stores only a sequence's present state."""

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
        connection_limit: maximum number of connections; -1: no limit.
        provider: provider of the collation: `c` (libc), `i` (ICU) or `b` (builtin).
        locale, rules: locale and rules of an ICU or builtin collation.
        collation_version: version that the collation's library reported when the database was created.
        grants: privileges of every role but the owner; PostgreSQL's default privileges are listed explicitly.
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
        """Returns the collation's names, for messages."""
        names = [self.collate, *([self.ctype] if self.ctype != self.collate else [])]
        names += [f"{'ICU' if self.provider == 'i' else 'builtin'} {self.locale}"] if self.locale else []
        return ", ".join([*names, *([f"rules {self.rules}"] if self.rules else [])])


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseSetting(StrictModel):
    """A setting of `ALTER DATABASE … SET`. If `role` is set, the setting applies only to the role's sessions.

    `value` has the format of pg_db_role_setting. No report contains values, because some hold applications' keys.
    """

    role: str | None
    name: str
    value: str = field(repr=False)

    @property
    def label(self) -> str:
        return f"setting {self.name}" + (f" of role {self.role}" if self.role is not None else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotGroup(StrictModel):
    """Tables that were read in one snapshot. `tables` are their labels."""

    snapshot_time: datetime
    tables: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaFiles(StrictModel):
    """The schema's files: an archive for pg_restore and SQL for people. None: no pg_dump was found (see `missing`)."""

    dump: BackupPart | None = None
    sql: BackupPart | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogCheckpoint(StrictModel):
    """Position in logs that this backup saved only in part. The next backup continues there.

    Attributes:
        group: name of a CloudWatch log group, or of a directory as in `logs.day`.
        from_ms: time at which the next backup begins, in milliseconds since 1970.
        ids: ids of the saved events of the millisecond `from_ms`.
    """

    group: str
    from_ms: int
    ids: tuple[str, ...] = ()
