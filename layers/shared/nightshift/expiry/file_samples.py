"""Checks that a table's file columns name files, before the table's first row is deleted.

S3 reports a key that never existed as deleted. A wrong prefix or bucket would therefore look like success: every file
would stay, and no row would name the files any more. To prevent this, the job looks up keys of the oldest due rows in
S3, and keys of other rows if there are few due rows. The look-up lists one key, which needs no right to read files and
distinguishes a missing key from a missing right. No transaction is open during the look-up.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from nightshift.expiry.batch import collect_dependent_keys, create_key_tables
from nightshift.expiry.file_columns import FileColumns, named_files_sql
from nightshift.expiry.file_names import NOT_LISTED, NamedFiles, NoFileNames, other_readings, shorten_name
from nightshift.expiry.progress import FIRST_BATCH
from nightshift.expiry.session import DeletionSession
from nightshift.expiry.statements import ExpiryStatements
from nightshift.guards import GuardRefused

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SAMPLE = 20
"""Largest number of keys that are looked up per column."""
READ = 200
"""Largest number of values that are read per column, to choose the keys from."""
FEWEST = 10
"""Smallest number of looked-up keys for which missing files refuse the policy; some files may be missing rightly."""
NEARLY_ALL = 0.9
SECONDS = 20.0
SHARE = 0.1
"""Share of a run's remaining time that the look-up may take."""
THREADS = 8
_LookUp = Callable[[Iterable[NamedFiles]], dict[NamedFiles, bool | str]]
_DENIED = ("AccessDenied", "403", "AllAccessDisabled")


@dataclass(slots=True)
class FileTally:
    """Counts and warnings about the files of one policy in one run.

    Attributes:
        queued: number of files put into the outbox.
        looked_up: number of keys of due rows that were looked up in S3 before the deletion.
        absent: number of looked-up keys that name no object.
        warnings: warnings for the operator.
    """

    queued: int = 0
    looked_up: int = 0
    absent: int = 0
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Column:
    """Some values of a file column, each with the bucket that the row or the policy names."""

    label: str
    files: FileColumns
    due: dict[tuple[str, str | None], NamedFiles | NoFileNames]
    others: dict[tuple[str, str | None], NamedFiles | NoFileNames]


def sample_files(
    session: DeletionSession, statements: ExpiryStatements, connect: Callable[[], S3Client], deadline: float
) -> FileTally:
    """Look up some files in S3, until `deadline`, a `time.monotonic()` value.

    Raises:
        GuardRefused: the columns name no files, or name files in a bucket that does not exist.
    """
    tally = FileTally()
    for column in _columns(session, statements, deadline - time.monotonic()):
        _check_values(column, tally)
        if column.files.check:
            now = time.monotonic()
            look_up = partial(_look_up, connect, now + min(SECONDS, SHARE * (deadline - now)))
            _check_keys(column, look_up, tally)
    return tally


def _columns(session: DeletionSession, statements: ExpiryStatements, seconds: float) -> list[_Column]:
    """Returns values of the file columns, from the oldest due rows and from any rows."""
    nodes = [node for node in statements.cascade.nodes.values() if node.files]
    if not nodes:
        return []
    columns = []
    with session.transaction(seconds, single=False):
        create_key_tables(session, statements)
        # The files of restored rows were deleted when the rows were archived.
        fresh = replace(statements, due=replace(statements.due, held=statements.due.restored))
        if not session.run(fresh.select_expired_sql(FIRST_BATCH, lock=False)):
            return []
        collect_dependent_keys(session, statements, lock=False)
        for node in nodes:
            for files in node.files:
                due = _values(session, files, statements.files_sql(node, files))
                anywhere = named_files_sql(files, node.name.sql, postgresql=statements.postgresql)
                others = _values(session, files, anywhere) if 0 < len(due) < SAMPLE else {}
                columns.append(_Column(f"{node.name.label}.{files.key}", files, due, others))
    return columns


def _values(
    session: DeletionSession, files: FileColumns, source: str
) -> dict[tuple[str, str | None], NamedFiles | NoFileNames]:
    rows = session.keys(f"SELECT value, row_bucket FROM ({source}) f LIMIT {READ}")
    return {(value, row_bucket): files.reading.read_value(value, row_bucket) for value, row_bucket in rows}


def _check_values(column: _Column, tally: FileTally) -> None:
    """Warn about values that cannot name a file, whose rows stay; refuse the policy if nearly all values cannot."""
    wrong = [(value, named.why) for (value, _), named in column.due.items() if isinstance(named, NoFileNames)]
    if not wrong:
        return
    value, why = wrong[0]
    what = f"{column.label} {why}, e.g. {shorten_name(value)!r}"
    if len(wrong) >= NEARLY_ALL * len(column.due):
        guard = "no_bucket" if why.startswith(NOT_LISTED) else "not_a_key"
        raise GuardRefused(guard, what, "correct the column, or `buckets`, `strip` and `prefix` in [[expiry.files]]")
    tally.warnings.append(
        f"{what}: rows with such a value stay ({len(wrong)} of {len(column.due)} that were looked at)"
    )


def _check_keys(column: _Column, look_up: _LookUp, tally: FileTally) -> None:
    """Look up keys in S3, warn about missing files, and refuse the policy if nearly all files are missing."""
    due = _chosen(column.due)
    wanted = {**due, **_chosen(column.others, SAMPLE - len(due))}
    asked = look_up(wanted)
    answers = {named: there for named, there in asked.items() if isinstance(there, bool)}
    reached = {named.bucket for named in answers}
    for named, code in asked.items():
        if isinstance(code, str) and not (code in _DENIED and named.bucket in reached):
            _refuse_bucket(column, named.bucket, code)
            tally.warnings.append(f"{column.label}: files were not looked up before rows went: S3 says {code}")
            return
    if denied := [named for named in asked if named not in answers]:
        # The role may be limited to a prefix; a few keys outside the prefix are no reason to refuse the table.
        tally.warnings.append(
            f"{column.label}: of {len(asked)} keys, {len(denied)} lie where S3 does not let the role look"
            f" ({denied[0].bucket}, e.g. {shorten_name(denied[0].key)!r}); if it may not delete there, their files stay"
        )
    missing = [named for named, there in answers.items() if not there]
    for named in missing:
        _refuse_misread(column, wanted[named], named, look_up)
    if len(answers) >= FEWEST and len(missing) >= NEARLY_ALL * len(answers):
        raise GuardRefused(
            "absent_files",
            f"{column.label}: of {len(answers)} keys that were looked up, {len(missing)} name no file in"
            f" {missing[0].bucket}, e.g. {shorten_name(missing[0].key)!r}",
            "correct `bucket`, or `prefix` and `strip` in [[expiry.files]]; `check = false` takes them as they are",
        )
    absent = [named for named in missing if named in due]
    tally.looked_up += sum(named in answers for named in due)
    tally.absent += len(absent)
    if absent:
        tally.warnings.append(
            f"{column.label}: of {len(due)} keys that were looked up before, {len(absent)} named no file in"
            f" {absent[0].bucket}, e.g. {shorten_name(absent[0].key)!r}"
        )


def _chosen(
    values: Mapping[tuple[str, str | None], NamedFiles | NoFileNames], most: int = SAMPLE
) -> dict[NamedFiles, str]:
    """Returns the objects to look up; up to half of them are objects whose value has another possible reading."""
    named = {name: value for (value, _), name in values.items() if isinstance(name, NamedFiles)}
    doubtful = [name for name, value in named.items() if other_readings(value, name)][: max(0, most // 2)]
    chosen = dict.fromkeys([*doubtful, *named])
    return {name: named[name] for name in list(chosen)[: max(0, most)]}


def _refuse_bucket(column: _Column, bucket: str, code: str) -> None:
    if code == "NoSuchBucket":
        what = f"{column.label}: there is no bucket {bucket}"
        raise GuardRefused("no_bucket", what, "correct the name in [[expiry.files]]")
    if code in _DENIED:
        raise GuardRefused(
            "no_bucket",
            f"{column.label}: S3 does not let the role look into {bucket}: {code}",
            "correct the name, or allow s3:ListBucket there (docs/jobs/expire_jobs.md); `check = false` skips this",
        )


def _refuse_misread(column: _Column, value: str, named: NamedFiles, look_up: _LookUp) -> None:
    """Raise `GuardRefused` if a key names no object but another reading of its value does."""
    others = other_readings(value, named)
    for other, there in look_up([NamedFiles(named.bucket, key) for key in others]).items():
        if there is True:
            raise GuardRefused(
                "not_a_key",
                f"{column.label}: {named.bucket} has no {shorten_name(named.key)!r},"
                f" but it has {shorten_name(other.key)!r}",
                others[other.key],
            )


def _look_up(
    connect: Callable[[], S3Client], deadline: float, names: Iterable[NamedFiles]
) -> dict[NamedFiles, bool | str]:
    """Returns for each file whether it exists, or S3's error code.

    If the first look-up fails, no further files are looked up, except after a missing right, which other keys may have.
    """
    wanted = list(names)
    if not wanted:
        return {}
    from nightshift.store.removal import has_object  # loads boto3: for those who look up

    client, first = connect(), wanted[0]

    def there(name: NamedFiles) -> bool | str:
        return has_object(client, name.bucket, name.key, deadline)

    answers = {first: there(first)}
    if isinstance(answers[first], str) and answers[first] not in _DENIED:
        return answers
    with ThreadPoolExecutor(THREADS, "look-up") as pool:
        return answers | dict(zip(wanted[1:], pool.map(there, wanted[1:]), strict=True))
