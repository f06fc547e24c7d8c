"""Opens the bucket of the backups."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nightshift.errors import InvalidSettings

if TYPE_CHECKING:
    from nightshift.run_services import RunServices
    from nightshift.store import ObjectStore


def bucket_of(services: RunServices) -> str:
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


def open_backup_store(services: RunServices) -> ObjectStore:
    """The bucket, ready for use; raises as `bucket_of` does."""
    from nightshift.store import ObjectStore

    settings, bucket = services.settings, bucket_of(services)
    # In the archive's own bucket the archive's key serves both.
    key = settings.backup_kms_key or (settings.archive_kms_key if bucket == settings.archive_bucket else None)
    return ObjectStore(services.s3_client, bucket, key, settings.archive_proof)
