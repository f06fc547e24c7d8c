"""Provides settings, clients and the clock to a run; they are built on first use, and never at import.

`RunWiring` outlives a run in a warm environment; `RunServices` are the ports of one run.
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
    """Settings and clients that are kept between runs in a warm environment.

    Nothing is read or connected at first: a setting that is wrong must be a run's error, not an import's.
    """

    environ: Mapping[str, str]
    listener: Listener = ignore_events

    @cached_property
    def settings(self) -> Settings:
        """Raises `InvalidSettings`."""
        return Settings.from_env(self.environ)

    @cached_property
    def report_settings(self) -> Settings:
        """The settings, or where they are unusable just those of the report, so that Slack hears of it.

        Raises `InvalidSettings` where not even these are usable.
        """
        try:
            return self.settings
        except InvalidSettings:
            names = ("TIMEZONE", "REPORT_LANGUAGE")
            return Settings.from_env(
                {name: value for name, value in self.environ.items() if name.startswith("SLACK_") or name in names}
            )

    @cached_property
    def s3_client(self) -> S3Client:
        """boto3's client, kept while the environment is warm; one that cannot be built is tried again at the next use.

        Raises:
            NightshiftError: boto3 makes none, e.g. for lack of a region.
        """
        from botocore.exceptions import BotoCoreError

        from nightshift.aws_failures import unusable_client
        from nightshift.store import make_client

        try:
            client = make_client()
        except (BotoCoreError, ValueError) as exc:  # ValueError: an AWS_ENDPOINT_URL that is no URL
            raise unusable_client("S3", exc) from exc
        # What is in memory by now stays: full collections need not walk it again (8 % of a large run's time).
        gc.freeze()
        return client

    @cached_property
    def bus(self) -> EventBus:
        """The event bus."""
        from nightshift.event_bus import EventBus

        return EventBus(self.settings.event_bus)

    @cached_property
    def embedder(self) -> TextEmbedder:
        """The embedding model, with its connections and whatever it had to load; raises as `make_embedder` does."""
        from nightshift.embedders.text_embedder import make_embedder

        return make_embedder(self.settings)

    def now(self) -> datetime:
        """The only clock."""
        return datetime.now(UTC)


@dataclass(frozen=True)
class RunServices:
    """A job's ports: what one run may use."""

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
        """The archive's bucket.

        Raises:
            InvalidSettings: ARCHIVE_BUCKET is not set.
        """
        if self.settings.archive_bucket is None:
            raise InvalidSettings(
                "settings are not usable",
                detail="ARCHIVE_BUCKET: is not set",
                hint="name the bucket that the archive goes to; nothing was read or written",
            )
        return self.settings.archive_bucket

    def archive_store(self) -> ObjectStore:
        """The archive's bucket, ready for use; raises as `archive_bucket` does."""
        from nightshift.store import ObjectStore

        settings, bucket = self.settings, self.archive_bucket
        return ObjectStore(self.s3_client, bucket, settings.archive_kms_key, settings.archive_proof)

    def s3_client(self) -> S3Client:
        """boto3's client, built at the first call; raises as `RunWiring.s3_client` does."""
        return self.wiring.s3_client

    def fetch_text(self, location: str) -> str:
        """The text behind a path, `s3://bucket/key` or `ssm:/name`.

        Raises:
            InvalidSettings, StoreError, SecretUnavailable: it cannot be read.
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
