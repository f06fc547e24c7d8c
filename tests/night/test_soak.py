"""A short soak, on servers of its own; `python -m tests.night.soak --kills 100` is the long one."""

from __future__ import annotations

import pytest

from tests.night.soak import main


@pytest.mark.slow
def test_kills_at_random_moments_of_all_jobs_at_once() -> None:
    tally = main(["--kills", "4", "--events", "400", "--due", "30", "--seed", "7"])
    assert tally.kills.total >= 4
    assert tally.checks["checks"] > 1
    assert tally.events > 400
