"""Data classes of the manifest: tables, views, objects, and the properties of the database itself."""

from __future__ import annotations

from dataclasses import dataclass

from nightshift.backup.strict_model import StrictModel
from nightshift.database.catalog import TableName


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
        bytes: its size.
        sha256: hex, of its bytes.
        pack: of a small table's file, which lies in a `pack_writer` object; None: the object is this part alone.
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
class ViewEntry(StrictModel):
    """A materialized view that held rows, which a restore fills by its query; `digest` is of the rows that it held."""

    schema: str
    name: str
    rows: int
    digest: str
    columns: tuple[str, ...]

    @property
    def table(self) -> TableName:
        return TableName(self.schema, self.name)

    @property
    def label(self) -> str:
        """As `TableName.label`."""
        return self.table.label


@dataclass(frozen=True, slots=True, kw_only=True)
class TableEntry(StrictModel):
    """One table that holds rows itself: a plain one, or a leaf partition; without the rows of its children.

    Attributes:
        schema: empty for SQLite, whose one entry is the database file.
        rows: how many were saved; SQLite: in all tables of the file.
        digest: see `digest`; SQLite: SHA-256 of the file, whose pieces the parts are, in their order.
        bytes: of its parts.
        columns: in the order of the table; values of generated ones are not saved.
        parts: none for an empty table.
        computed: the stored generated columns; backups of older versions know of none.
    """

    schema: str
    name: str
    rows: int
    digest: str
    bytes: int
    columns: tuple[SavedColumn, ...]
    parts: tuple[BackupPart, ...]
    computed: tuple[ComputedColumn, ...] = ()

    @property
    def table(self) -> TableName:
        return TableName(self.schema, self.name)

    @property
    def label(self) -> str:
        """As `TableName.label`."""
        return self.table.label


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
