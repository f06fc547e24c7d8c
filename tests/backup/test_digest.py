"""The digest's arithmetic: any number of 64-bit hashes, in any order and any pieces."""

from __future__ import annotations

import hashlib

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from nightshift.backup.digest import RowHashSum

HASHES = st.lists(st.integers(-(2**63), 2**63 - 1), max_size=50)


@given(HASHES, st.integers(0, 50))
def test_pieces_and_order_do_not_matter(hashes: list[int], cut: int) -> None:
    one, other = RowHashSum(), RowHashSum()
    one.add(pa.array(sorted(hashes[:cut]), pa.int64()))
    other.add(pa.array(hashes[cut:][::-1], pa.int64()))
    one.merge(other)
    assert (one.rows, one.total) == (len(hashes), sum(hashes))
    assert one.digest() == RowHashSum(len(hashes), sum(hashes)).digest()


@given(HASHES.filter(bool))
def test_a_row_that_is_lost_or_doubled_is_told(hashes: list[int]) -> None:
    digest = RowHashSum(len(hashes), sum(hashes)).digest()
    assert digest != RowHashSum(len(hashes) - 1, sum(hashes[1:])).digest()
    assert digest != RowHashSum(len(hashes) + 1, sum(hashes) + hashes[0]).digest()


def test_it_is_what_it_says() -> None:
    assert RowHashSum(2, -5).digest() == hashlib.sha256(b"2:-5").hexdigest()
