"""Policies of `expire_jobs`: one `[[expiry]]` entry a table with a column of expiry times.

    [[expiry]]
    table = "job"                    # schema.table; quote odd names as in SQL
    expires_at = "expires_at"        # timestamptz, timestamp, date, or a number with `epoch`
    timezone = "Asia/Seoul"          # of a column without a zone; default: TIMEZONE
    epoch = "ms"                     # for columns of numbers: "s", "ms", "us" or "ns"
    archive = true                   # rows go to the Parquet archive before they are deleted
    cascade = ["payment", "report"]  # the tables that may lose rows with it; another that a key reaches is refused

    [[expiry.files]]                 # S3 files that rows name, of the table itself or of a dependent one
    table = "job_file"
    key = "s3_key"                   # the column with the object's key
    bucket = "uploads"               # or bucket_column = "…"; default: EXPIRE_FILES_BUCKET
    buckets = ["uploads", "scans"]   # those that rows may name, beside `bucket` and EXPIRE_FILES_BUCKET
    prefix = "media/"                # prefix of values that are no address
    strip = "/"                      # beginning of values that is no part of the key
    check = false                    # do not look up in S3, before rows go, whether some of the keys name files

    [[expiry.dependents]]            # a table that depends on another without a foreign key
    table = "sms_log"
    columns = ["job_id"]
    references = "job"               # default: the entry's own table
    referenced = ["id"]              # default: its primary key

Tables that depend on the table by foreign keys need no entry: the database knows them.
"""

from __future__ import annotations

from typing import Annotated, Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, model_validator

from nightshift.policy.retention import Name
from nightshift.settings import BucketName, EpochUnit, TimeZone, is_alias

Names = Annotated[list[Name], Field(min_length=1, max_length=32)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class FilesPolicy(_Section):
    """Files that a table's rows name."""

    table: Name
    key: Name
    bucket: BucketName | None = None
    buckets: Annotated[list[BucketName], Field(max_length=50)] = []
    bucket_column: Name | None = None
    prefix: Annotated[str, Field(max_length=512)] = ""
    strip: Annotated[str, Field(max_length=512)] = ""
    check: bool = True

    @property
    def named_buckets(self) -> list[str]:
        """The buckets that the entry names."""
        return [bucket for bucket in (self.bucket, *self.buckets) if bucket is not None]

    @model_validator(mode="after")
    def _one_bucket(self) -> Self:
        if self.bucket is not None and self.bucket_column is not None:
            raise ValueError("give bucket or bucket_column, not both")
        for bucket in self.named_buckets:
            if is_alias(bucket):
                raise ValueError(f"{bucket} is the alias of an access point: name the bucket behind it")
        return self


class DependentPolicy(_Section):
    """A reference that the database does not know of."""

    table: Name
    columns: Names
    references: Name | None = None
    referenced: Names | None = None


class ExpiryPolicy(_Section):
    """One table's expiry; see the module's text for the fields."""

    table: Name
    expires_at: Name = "expires_at"
    timezone: TimeZone
    epoch: EpochUnit | None = None
    archive: bool = False
    cascade: list[Name] | None = None
    files: list[FilesPolicy] = []
    dependents: list[DependentPolicy] = []

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)
