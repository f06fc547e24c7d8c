"""Defines the policies of `expire_jobs`: one `[[expiry]]` entry per table with a column of expiry times.

    [[expiry]]
    table = "job"                    # schema.table; quote odd names as in SQL
    expires_at = "expires_at"        # timestamptz, timestamp, date, or a number with `epoch`
    timezone = "Asia/Seoul"          # time zone of a column without a zone; default: TIMEZONE
    epoch = "ms"                     # unit of a numeric column: "s", "ms", "us" or "ns"
    archive = true                   # archive rows as Parquet before their deletion
    cascade = ["payment", "report"]  # complete list of the dependent tables that may lose rows; others are refused

    [[expiry.files]]                 # S3 files that rows of the table, or of a dependent table, name
    table = "job_file"
    key = "s3_key"                   # column with the key of the S3 object
    bucket = "uploads"               # or bucket_column = "…"; default: EXPIRE_FILES_BUCKET
    buckets = ["uploads", "scans"]   # buckets that rows may name, besides `bucket` and EXPIRE_FILES_BUCKET
    prefix = "media/"                # prefix of the key; not added to values that are an address
    strip = "/"                      # beginning of values that does not belong to the key
    check = false                    # do not check in S3, before deletions, whether a sample of the keys exists

    [[expiry.dependents]]            # table that depends on another table without a foreign key
    table = "sms_log"
    columns = ["job_id"]
    references = "job"               # default: the table of the [[expiry]] entry
    referenced = ["id"]              # default: the primary key of the referenced table

Tables that depend on the table by foreign keys need no entry, because the database has the foreign keys.
"""

from __future__ import annotations

from typing import Annotated, Self
from zoneinfo import ZoneInfo

from pydantic import Field, model_validator

from nightshift.policy.retention import Name, PolicyEntry
from nightshift.settings import BucketName, EpochUnit, TimeZone, is_alias

Names = Annotated[list[Name], Field(min_length=1, max_length=32)]


class FilesPolicy(PolicyEntry):
    """Policy for the S3 files that a table's rows name."""

    key: Name
    bucket: BucketName | None = None
    buckets: list[BucketName] = Field(default=[], max_length=50)
    bucket_column: Name | None = None
    prefix: Annotated[str, Field(max_length=512)] = ""
    strip: Annotated[str, Field(max_length=512)] = ""
    check: bool = True

    @property
    def named_buckets(self) -> list[str]:
        """Returns the buckets that the entry names."""
        return [bucket for bucket in (self.bucket, *self.buckets) if bucket is not None]

    @model_validator(mode="after")
    def _one_bucket(self) -> Self:
        if self.bucket is not None and self.bucket_column is not None:
            raise ValueError("give bucket or bucket_column, not both")
        for bucket in self.named_buckets:
            if is_alias(bucket):
                raise ValueError(f"{bucket} is the alias of an access point: name the bucket behind it")
        return self


class DependentPolicy(PolicyEntry):
    """A reference between two tables that is not a foreign key."""

    columns: Names
    references: Name | None = None
    referenced: Names | None = None


class ExpiryPolicy(PolicyEntry):
    """Policy for the expiry of one table's rows. The module's docstring describes the fields."""

    expires_at: Name = "expires_at"
    timezone: TimeZone
    epoch: EpochUnit | None = None
    archive: bool = False
    cascade: list[Name] | None = None
    files: list[FilesPolicy] = Field(default=[])
    dependents: list[DependentPolicy] = Field(default=[])

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)
