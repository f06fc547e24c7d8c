"""A short soak; `python -m tests.expiry.soak --kills 100` is the long one."""

from __future__ import annotations

import pytest

from tests.expiry.soak import Soak
from tests.support.expiring import JobScene


@pytest.mark.slow
def test_kills_at_random_moments(jobs: JobScene) -> None:
    tally = Soak(jobs, due=60, seed=20_251_015).run(10)
    assert tally.kills.total == 10
    assert len(tally.kills.steps) > 2, tally.kills
    assert min(tally.application[what] for what in ("ordered", "extended", "too late", "logged", "refused")) > 0
    assert tally.jobs > tally.left > 4
