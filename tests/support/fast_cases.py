"""The marker `fast_cases`: `make test` runs some cases of a parametrized test, and `make test-all` runs all.

@pytest.mark.fast_cases("committing", "committed")  # the cases with one of these in their id
@pytest.mark.fast_cases(2)                          # the first two
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import pytest


def mark_slow_cases(items: Sequence[pytest.Item], *, complete: bool) -> None:
    """Mark the other cases of tests with the marker as `slow`.

    Args:
        complete: whether all cases of each test are among the items.

    Raises:
        pytest.UsageError: the marker of a test names a case that does not exist.
    """
    cases: dict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        if item.get_closest_marker("fast_cases"):
            cases[item.nodeid.partition("[")[0]].append(item)
    for test, its in cases.items():
        marker = its[0].get_closest_marker("fast_cases")
        assert marker is not None
        fast = its[: marker.args[0]] if isinstance(marker.args[0], int) else []
        for wanted in marker.args if not fast else ():
            found = [item for item in its if wanted in item.nodeid.partition("[")[2]]
            if complete and not found:
                raise pytest.UsageError(f"{test}: no case has {wanted!r} in its id")
            fast += found
        for item in its:
            if item not in fast:
                item.add_marker(pytest.mark.slow)
