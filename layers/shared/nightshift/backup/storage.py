"""The bucket that backups lie in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nightshift.errors import InvalidSettings

if TYPE_CHECKING:
    from nightshift.store import Store
    from nightshift.wiring import Services


def bucket_of(services: Services) -> str:
    """BACKUP_BUCKET, else ARCHIVE_BUCKET.

    Raises:
        InvalidSettings: neither is set.
    """
    bucket = services.settings.backup_bucket or services.settings.archive_bucket
    if bucket is None:
        raise InvalidSettings(
            "settings are not usable",
            detail="BACKUP_BUCKET: is not set, nor is ARCHIVE_BUCKET",
            hint="name the bucket that backups go to; nothing was read or written",
        )
    return bucket


def open_store(services: Services) -> Store:
    """The bucket, ready for use; raises as `bucket_of` does."""
    from nightshift.store import Store

    settings, bucket = services.settings, bucket_of(services)
    # In the archive's own bucket the archive's key serves both.
    key = settings.backup_kms_key or (settings.archive_kms_key if bucket == settings.archive_bucket else None)
    return Store(services.s3_client, bucket, key, settings.archive_proof)
