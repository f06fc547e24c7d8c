"""The document service whose jobs expire: eight tables, as its own programmers would write them.

A job is a customer's order for application documents. It expires a day after it was placed, and everything that hangs
on it must vanish with it:

    job
    ├── payment ── payment_failure
    ├── job_file                      the upload and three results, each an object in S3
    ├── sms_log
    ├── phone_verification_attempt
    └── report ── report_knowledge

The models are ordinary ones, with ON DELETE CASCADE. Databases in the wild differ in what they declare, so `job_schema`
makes a copy of the tables with other promises. `local/job_rows.py` fills them.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Annotated, ClassVar

from sqlalchemy import BigInteger, DateTime, ForeignKey, Integer, MetaData, Text, Uuid
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

ROWS_A_JOB = {
    "job": 1,
    "payment": 1,
    "payment_failure": 1,
    "job_file": 4,
    "sms_log": 2,
    "phone_verification_attempt": 1,
    "report": 1,
    "report_knowledge": 2,
}
"""How many rows of each table `job_rows.create_jobs` makes for one job; parents first."""

TABLES = tuple(ROWS_A_JOB)

_BIG = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers no other type by itself

Number = Annotated[int, mapped_column(_BIG, primary_key=True)]
OfJob = Annotated[str, mapped_column(ForeignKey("job.id", ondelete="CASCADE"), index=True)]


class Base(DeclarativeBase):
    type_annotation_map: ClassVar = {datetime: DateTime(timezone=True), str: Text, int: BigInteger}


class Job(Base):
    __tablename__ = "job"

    id: Mapped[str] = mapped_column(Uuid(as_uuid=False), primary_key=True)
    customer: Mapped[str]
    phone: Mapped[str]
    status: Mapped[str]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)


class Payment(Base):
    __tablename__ = "payment"

    id: Mapped[Number]
    job_id: Mapped[OfJob]
    order_number: Mapped[str]
    method: Mapped[str]
    amount: Mapped[int]
    paid_at: Mapped[datetime]


class PaymentFailure(Base):
    __tablename__ = "payment_failure"

    id: Mapped[Number]
    payment_id: Mapped[int] = mapped_column(ForeignKey("payment.id", ondelete="CASCADE"), index=True)
    code: Mapped[str]
    message: Mapped[str]


class JobFile(Base):
    __tablename__ = "job_file"

    id: Mapped[Number]
    job_id: Mapped[OfJob]
    kind: Mapped[str]
    bucket: Mapped[str]
    s3_key: Mapped[str] = mapped_column(index=True)
    size: Mapped[int]


class SmsLog(Base):
    __tablename__ = "sms_log"

    id: Mapped[Number]
    job_id: Mapped[OfJob]
    phone: Mapped[str]
    message: Mapped[str]
    sent_at: Mapped[datetime]


class PhoneVerificationAttempt(Base):
    __tablename__ = "phone_verification_attempt"

    id: Mapped[Number]
    job_id: Mapped[OfJob]
    phone: Mapped[str]
    code_hash: Mapped[str]
    attempted_at: Mapped[datetime]


class Report(Base):
    __tablename__ = "report"

    id: Mapped[str] = mapped_column(Uuid(as_uuid=False), primary_key=True)
    job_id: Mapped[OfJob]
    title: Mapped[str]
    body: Mapped[str]


class ReportKnowledge(Base):
    __tablename__ = "report_knowledge"

    id: Mapped[Number]
    report_id: Mapped[str] = mapped_column(ForeignKey("report.id", ondelete="CASCADE"), index=True)
    source: Mapped[str]
    excerpt: Mapped[str]


def job_schema(*, cascades: bool, naive: bool = False, unlinked: Collection[str] = ()) -> MetaData:
    """The tables of the service, in a MetaData of their own: `job_schema(cascades=False).create_all(engine)`.

    Args:
        cascades: foreign keys say ON DELETE CASCADE; else NO ACTION, so that children must go first.
        naive: timestamps have no time zone and show Seoul's wall clock. SQLite never keeps a zone: without `naive` its
            text shows UTC's wall clock.
        unlinked: tables whose reference is a plain column, unknown to the database; `TABLES` for all.

    Raises:
        KeyError: there is no such table to unlink.
    """
    schema = MetaData()
    for table in Base.metadata.sorted_tables:
        table.to_metadata(schema)
    for name in unlinked:
        for constraint in schema.tables[name].foreign_key_constraints:
            schema.tables[name].constraints.discard(constraint)
    for table in schema.tables.values():
        for constraint in table.foreign_key_constraints:
            constraint.ondelete = "CASCADE" if cascades else None
        for column in table.columns:
            if naive and isinstance(column.type, DateTime):
                column.type = DateTime(timezone=False)
    return schema
