"""Deployments for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local.s3 import EmbeddedS3
from nightshift.backup import uploader
from tests.support.backups import backups, sqlite_backups
from tests.support.house import guest, house, sqlite_house, surroundings
from tests.support.s3_proxy import S3Proxy

__all__ = ["backups", "guest", "house", "sqlite_backups", "sqlite_house", "surroundings"]


@pytest.fixture
def proxy(s3: EmbeddedS3) -> Iterator[S3Proxy]:
    """An S3 that misbehaves on request."""
    with S3Proxy(s3.endpoint) as proxy:
        yield proxy


@pytest.fixture
def small_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each file is sent at once, in a pack of its own: many objects from few rows."""
    monkeypatch.setattr(uploader, "PACK_BYTES", 1)
