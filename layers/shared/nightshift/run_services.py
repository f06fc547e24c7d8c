"""Provides settings, clients and the clock to a run. Each object is built on first use, and never at import.

Lambda may reuse a process for later runs (a warm environment). `RunWiring` exists for the life of the process, and
`RunServices` for one run.
"""

from __future__ import annotations

import gc
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from nightshift import secrets
from nightshift.database.connect import Database
from nightshift.errors import InvalidSettings
from nightshift.progress_events import Listener, ignore_events
from nightshift.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from nightshift.embedders.text_embedder import TextEmbedder
    from nightshift.event_bus import EventBus
    from nightshift.store import ObjectStore


@dataclass(frozen=True)
class RunWiring:
    """Settings and clients that a process keeps between runs.

    The constructor reads and connects nothing. Thus an invalid setting causes an error of a run, not of an import.
    """

    environ: Mapping[str, str]
    listener: Listener = ignore_events

    @cached_property
    def settings(self) -> Settings:
        """Returns the settings of the environment. Raises `InvalidSettings` if a variable is invalid."""
        return Settings.from_env(self.environ)

    @cached_property
    def report_settings(self) -> Settings:
        """Returns the settings; if a setting is invalid, only the settings for the report of the error on Slack."""
        try:
            return self.settings
        except InvalidSettings:
            names = ("TIMEZONE", "REPORT_LANGUAGE")
            return Settings.from_env(
                {name: value for name, value in self.environ.items() if name.startswith("SLACK_") or name in names}
            )

    @cached_property
    def s3_client(self) -> S3Client:
        """Returns boto3's S3 client, which the process keeps. After a failure, the next use tries again to build it.

        Raises:
            NightshiftError: boto3 cannot build a client, e.g. without a region.
        """
        from botocore.exceptions import BotoCoreError

        from nightshift.aws_failures import unusable_client
        from nightshift.store import make_client

        try:
            client = make_client()
        except (BotoCoreError, ValueError) as exc:  # ValueError: AWS_ENDPOINT_URL is not a URL
            raise unusable_client("S3", exc) from exc
        # Exempts the present objects, which stay in memory, from full collections. The repeated traversal of these
        # objects would take 8 % of a large run's time.
        gc.freeze()
        return client

    @cached_property
    def bus(self) -> EventBus:
        """Returns the event bus of the setting EVENT_BUS."""
        from nightshift.event_bus import EventBus

        return EventBus(self.settings.event_bus)

    @cached_property
    def embedder(self) -> TextEmbedder:
        """Returns the embedding model, with its connections and loaded data. Raises the errors of `make_embedder`."""
        from nightshift.embedders.text_embedder import make_embedder

        return make_embedder(self.settings)

    def now(self) -> datetime:
        """Returns the present time in UTC. All code reads the wall clock here."""
        return datetime.now(UTC)


@dataclass(frozen=True)
class RunServices:
    """Settings, database, clients and clock of one run."""

    wiring: RunWiring
    database: Database

    @property
    def settings(self) -> Settings:
        return self.wiring.settings

    @property
    def listener(self) -> Listener:
        return self.wiring.listener

    def now(self) -> datetime:
        return self.wiring.now()

    @property
    def archive_bucket(self) -> str:
        """Returns the name of the archive's bucket. Raises `InvalidSettings` if ARCHIVE_BUCKET is not set."""
        if self.settings.archive_bucket is None:
            raise InvalidSettings(
                "settings are not usable",
                detail="ARCHIVE_BUCKET: is not set",
                hint="name the bucket that the archive goes to; nothing was read or written",
            )
        return self.settings.archive_bucket

    def archive_store(self) -> ObjectStore:
        """Returns the store of the archive's bucket. Raises the errors of `archive_bucket`."""
        from nightshift.store import ObjectStore

        settings, bucket = self.settings, self.archive_bucket
        return ObjectStore(self.s3_client, bucket, settings.archive_kms_key, settings.archive_proof)

    def s3_client(self) -> S3Client:
        """Returns boto3's S3 client; see `RunWiring.s3_client`, also for errors."""
        return self.wiring.s3_client

    def fetch_text(self, location: str) -> str:
        """Returns the text at a location: a path, `s3://bucket/key` or `ssm:/name`.

        Raises:
            InvalidSettings: the file at a path cannot be read.
            StoreError: the S3 object cannot be read.
            SecretUnavailable: the SSM parameter cannot be read.
        """
        if location.startswith("s3://"):
            from nightshift.store import ObjectStore

            bucket, _, key = location.removeprefix("s3://").partition("/")
            return ObjectStore(self.s3_client, bucket).get_object(key).decode("utf-8")
        if location.startswith("ssm:"):
            return secrets.read_parameter(location.removeprefix("ssm:"))
        try:
            return Path(location).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as exc:
            raise InvalidSettings(
                "the policy file cannot be read", detail=f"NIGHTSHIFT_CONFIG: {location}: {type(exc).__name__}"
            ) from None
