"""Servers on this machine for one call of one job, where the caller names none, with a sample of data in them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from local.s3 import EmbeddedS3
from local.samples import SampleServers
from nightshift.job_spec import load_object, load_spec

BUCKET = "nightshift-demo"


@contextmanager
def stand_in(job: str, moment: datetime) -> Iterator[Mapping[str, str]]:
    """Start a PostgreSQL and an S3, fill them as the job's spec says, and say so on stderr.

    Args:
        moment: the time that the call stands for; some of the rows are due then.

    Yields:
        the variables by which the job finds them.
    """
    from local.postgres import DISPOSABLE, EmbeddedPostgres

    sample = load_spec(job).sample
    print(
        "a PostgreSQL and an S3 are started on this machine, for this call only;"
        f" data: {sample.partition(':')[2] if sample else 'none'}",
        file=sys.stderr,
    )
    with ExitStack() as stack:
        postgres = stack.enter_context(EmbeddedPostgres(settings=DISPOSABLE))
        s3 = stack.enter_context(EmbeddedS3())
        directory = Path(stack.enter_context(TemporaryDirectory()))
        url = postgres.create_database("demo")
        s3.create_bucket(BUCKET)
        servers = SampleServers(url, s3, moment, directory, stack, postgres.create_database)
        variables = load_object(sample)(servers) if sample else {}
        yield {**s3.env, "DATABASE_URL": url, "ARCHIVE_BUCKET": BUCKET, **variables}
