"""All access to S3."""

from __future__ import annotations

from nightshift.store.bucket import PARQUET, ObjectInfo, ObjectStore, Proof, StoredObject
from nightshift.store.client import make_client
from nightshift.store.object_writer import ObjectWriter

__all__ = ["PARQUET", "ObjectInfo", "ObjectStore", "ObjectWriter", "Proof", "StoredObject", "make_client"]
