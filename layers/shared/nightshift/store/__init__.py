"""The only door to S3."""

from __future__ import annotations

from nightshift.store.bucket import Found, Proof, Store, StoredObject
from nightshift.store.client import make_client

__all__ = ["Found", "Proof", "Store", "StoredObject", "make_client"]
