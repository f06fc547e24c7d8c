"""The `expire_jobs` job: every policy's table in turn, and beside it the files of what is gone.

A table that is refused or fails does not stop the others, nor the files that earlier runs left. The first failure is
raised once all have had their turn.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext

from sqlalchemy.exc import DBAPIError

from nightshift.archive.engine import open_engine, sweep
from nightshift.archive.table import Engine
from nightshift.database.connect import refused_statement
from nightshift.database.tables import file_deletion, is_there
from nightshift.errors import InvalidSettings, NightshiftError
from nightshift.expiry.discovery import named_places
from nightshift.expiry.drain import Background, Drain
from nightshift.expiry.outbox import Outbox, waiting
from nightshift.expiry.table import Turn, expire_table
from nightshift.policy.expiry import Expiry
from nightshift.policy.file import load_policies
from nightshift.results import ExpiredTable, ExpiryResult, FilesResult
from nightshift.run import JobRun
from nightshift.wiring import Services


def expire_jobs(run: JobRun, services: Services) -> ExpiryResult:
    """Delete what has expired, with all that hangs on it, and the files that it named.

    Raises:
        InvalidSettings: no policy says what expires.
        NightshiftError: the first table's failure, after every other table was tried; its `result` holds what was done.
    """
    policies = load_policies(services.settings, services.fetch_text).expiry
    if not policies:
        raise InvalidSettings(
            "no policy says what expires",
            detail=f"NIGHTSHIFT_CONFIG: {services.settings.nightshift_config or 'is not set'}: no [[expiry]] entry",
            hint='write [[expiry]] with table = "job", and [[expiry.files]] for the files that its rows name',
        )
    result = _rehearsed(run, services, policies) if run.dry_run else _expired(run, services, policies)
    for table in result.tables:
        if table.error is not None:
            table.error.result = result
            raise table.error
    return result


def _expired(run: JobRun, services: Services, policies: tuple[Expiry, ...]) -> ExpiryResult:
    settings, database = services.settings, services.database
    with database.connect() as connection:
        named = named_places(connection, policies, settings)
    outbox = Outbox(run.run_id, run.as_of, named)
    versions, listener = settings.expire_file_versions, services.listener
    drain = Drain(database, outbox, services.s3_client, versions=versions, listener=listener)
    tables: list[ExpiredTable] = []
    queued = 0
    try:
        # SQLite has one writer at a time: there the files wait until the rows are gone.
        background = Background(drain) if database.is_postgresql else nullcontext(drain)
        with _archive(run, services, policies) as engine, background as files:
            for policy in policies:
                turn = Turn(
                    run=run,
                    settings=settings,
                    database=database,
                    policy=policy,
                    engine=engine,
                    committed=files.wake,
                    listener=listener,
                )
                table, more = expire_table(turn)
                tables.append(table)
                queued += more
        drain.work()
        return ExpiryResult(tables=tuple(tables), files=drain.result(queued))
    except (DBAPIError, NightshiftError) as exc:
        error = refused_statement(exc) if isinstance(exc, DBAPIError) else exc
        error.result = ExpiryResult(tables=tuple(tables), files=FilesResult(queued=queued))
        raise error from exc


@contextmanager
def _archive(run: JobRun, services: Services, policies: Sequence[Expiry]) -> Iterator[Engine | None]:
    """The archive's engine, tidied up after runs of this job that died; None where no policy archives."""
    if not any(policy.archive for policy in policies):
        yield None
        return
    settings, store = services.settings, services.archive_store()
    with open_engine(run, settings, services.database, store, services.listener, now=services.now()) as engine:
        sweep(engine)
        yield engine


def _rehearsed(run: JobRun, services: Services, policies: tuple[Expiry, ...]) -> ExpiryResult:
    database = services.database
    turns = [
        expire_table(Turn(run=run, settings=services.settings, database=database, policy=policy)) for policy in policies
    ]
    with database.connect() as connection:
        left = waiting(connection) if is_there(connection, file_deletion) else 0
    files = FilesResult(queued=sum(queued for _, queued in turns), waiting=left)
    return ExpiryResult(tables=tuple(table for table, _ in turns), files=files)
