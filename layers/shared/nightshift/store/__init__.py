"""All access to S3."""

from __future__ import annotations

from nightshift.store.bucket import ObjectInfo, ObjectStore, Proof, StoredObject
from nightshift.store.client import make_client

__all__ = ["ObjectInfo", "ObjectStore", "Proof", "StoredObject", "make_client"]
