"""Objects that are not what the ledger vouches for: named, left out, and no reason to leave the sound ones out."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nightshift.errors import ArchiveMismatch, StoreError
from nightshift.progress_events import ProgressStep
from tests.support import s3_faults as faults
from tests.support.damage import body_of, delete, put, vouch
from tests.support.s3_proxy import S3Proxy
from tests.support.scene import TABLE
from tests.support.way_back import OWN, TARGETS, WayBack, asked


def another_file() -> bytes:
    """A sound Parquet file of somebody else's."""
    sink = io.BytesIO()
    pq.write_table(pa.table({"id": [1], "payload": ["not ours"]}), sink)
    return sink.getvalue()


def flipped(body: bytes) -> bytes:
    """One bit turned, in the middle of the rows."""
    place = len(body) // 3
    return body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :]


Spoil = Callable[[WayBack, str], None]


def spoil(change: Callable[[bytes], bytes]) -> Spoil:
    return lambda back, key: put(back, key, change(body_of(back, key)))


DAMAGES: dict[str, tuple[Spoil, tuple[str, ...]]] = {
    "missing": (delete, ("missing",)),
    "one bit flipped": (spoil(flipped), ("altered",)),
    "cut short": (spoil(lambda body: body[:-100]), ("wrong size",)),
    "emptied": (spoil(lambda body: b""), ("wrong size",)),
    "longer": (spoil(lambda body: body + b"\0"), ("wrong size",)),
    "another's Parquet file": (spoil(lambda body: another_file()), ("wrong size",)),
    "our own, of another day": (
        lambda back, key: put(back, key, body_of(back, back.keys[-1])),
        ("altered", "wrong size"),
    ),
    "a text file of that size": (spoil(lambda body: b"x" * len(body)), ("altered",)),
}
"""What may become of an object, and how that may be called."""


@pytest.mark.fast_cases("original")
@TARGETS
def test_damaged_objects_are_named_and_left_out(back: WayBack, into_original: bool) -> None:
    """Whatever has become of them; also where the oldest, whose columns would have been read first, is among them."""
    back.archive(1100, days=10)
    spoilt = dict(zip(back.keys, DAMAGES, strict=False))
    bodies = {key: body_of(back, key) for key in back.keys}
    assert len(spoilt) == len(DAMAGES) < len(bodies)
    before = back.rows_of(TABLE)
    for key, name in spoilt.items():
        DAMAGES[name][0](back, key)

    answer = back.restore(**asked(into_original))

    assert (answer["status"], answer["complete"]) == ("partial", False)
    assert [one["key"] for one in answer["damaged"]] == sorted(spoilt)
    for one in answer["damaged"]:
        assert one["damage"] in DAMAGES[spoilt[one["key"]]][1], spoilt[one["key"]]
        assert one["what"]
    others = sum((rows for key, rows in back.contents.items() if key not in spoilt), Counter())
    assert back.rows_of(TABLE if into_original else OWN) == others + (before if into_original else Counter())
    assert answer["restored_rows"] == others.total()
    assert {entry["state"] for entry in back.ledger() if entry["object_key"] in spoilt} == {"archived"}
    assert not set(spoilt) & {record["object_key"] for record in back.records()}

    for key in spoilt:
        put(back, key, bodies[key])
    again = back.finish(into_original=into_original)
    assert (again["objects"], again["already"]) == (len(spoilt), len(bodies) - len(spoilt))


def test_nothing_but_damage_is_left(back: WayBack) -> None:
    """A second run says the same again: the rest is there, this is not."""
    back.archive()
    key = back.keys[0]
    put(back, key, b"gone")
    assert [back.restore()["status"] for _ in range(2)] == ["partial", "partial"]
    answer = back.restore()
    assert (answer["already"], [one["key"] for one in answer["damaged"]]) == (len(back.contents) - 1, [key])


@pytest.mark.fast_cases("into2")
@pytest.mark.parametrize("into", [{}, {"into": "elsewhere"}, {"into_original": True}])
def test_nothing_but_damage_is_a_failure_and_makes_no_table(back: WayBack, into: dict[str, Any]) -> None:
    back.archive()
    for key in back.keys:
        put(back, key, b"gone")
    before = back.state()

    with pytest.raises(ArchiveMismatch, match=f"all {len(back.contents)} are damaged") as caught:
        back.restore(**into)

    assert "nothing was changed; look for older versions" in str(caught.value.hint)
    assert back.state() == before
    assert back.records() == []
    assert all(key in str(caught.value.detail) for key in back.keys)
    run = back.runs()[-1]
    assert run["status"] == "failed"
    assert len(run["result"]["damaged"]) == len(back.contents)


def test_what_the_ledger_vouches_for_but_cannot_be_read(back: WayBack) -> None:
    """Size and SHA-256 agree: the file was written wrong, or somebody has mended the ledger to fit."""
    back.archive()
    unreadable, short = back.keys[1], back.keys[3]
    vouch(back, unreadable, b"no Parquet file at all")
    vouch(back, short, body_of(back, short), rows=7)
    answer = back.restore()
    found = {one["key"]: one["damage"] for one in answer["damaged"]}
    assert found == {unreadable: "unreadable", short: "wrong row count"}
    assert answer["objects"] == len(back.contents) - 2 == len(back.records())


def test_pages_that_cannot_be_decoded(back: WayBack) -> None:
    """Only decoding finds it out, in the middle of a transaction: nothing of the object stays, and the run says why."""
    back.archive()
    key = back.keys[2]
    body = body_of(back, key)
    pages = pq.ParquetFile(io.BytesIO(body)).metadata.row_group(0).column(1)
    start = pages.dictionary_page_offset or pages.data_page_offset
    vouch(back, key, body[: start + 20] + b"\xff" * 60 + body[start + 80 :])
    with suppress(ArchiveMismatch):
        answer = back.restore()
        assert [one["key"] for one in answer["damaged"]] == [key]
    assert key not in {record["object_key"] for record in back.records()}
    assert not back.rows_of() & back.contents[key]


def test_a_strangers_object_is_no_part_of_the_archive(back: WayBack) -> None:
    """It is neither restored nor taken for damage, and nobody can ask for it."""
    back.archive()
    stranger = back.keys[0].rpartition("/")[0] + "/stranger.parquet"
    put(back, stranger, body_of(back, back.keys[0]))
    before = back.state()
    refused = back.restore(objects=[stranger])
    assert (refused["status"], refused["refusal"]["guard"]) == ("refused", "unknown_object")
    assert "stranger.parquet" in refused["refusal"]["message"]
    assert back.state() == before
    answer = back.restore()
    assert (answer["status"], answer["damaged"]) == ("ok", [])
    assert back.rows_of() == back.due


@pytest.fixture
def proxy(back: WayBack) -> Iterator[S3Proxy]:
    with S3Proxy(back.s3.endpoint) as proxy:
        yield proxy


def test_access_denied_says_nothing_about_the_object(back: WayBack, proxy: S3Proxy) -> None:
    """Without s3:ListBucket S3 answers 403 for what is missing, too. The run fails; what came before it stands."""
    back.archive()
    key = back.keys[3]
    denied = proxy.inject(faults.access_denied(), method="GET", target=key, times=None)
    with pytest.raises(StoreError) as caught:
        back.restore_with({"AWS_ENDPOINT_URL": proxy.endpoint, "CLEANUP_WORKERS": "1"})
    assert denied.fired >= 1
    assert "AccessDenied" in caught.value.message
    run = back.runs()[-1]
    assert (run["status"], run["result"]["damaged"]) == ("failed", [])
    assert len(back.records()) == run["result"]["objects"] == 3
    back.finish()


def test_frozen_objects_are_to_be_thawed(back: WayBack, proxy: S3Proxy) -> None:
    back.archive()
    proxy.inject(faults.answer(403, "InvalidObjectState"), method="GET", times=None)
    with pytest.raises(ArchiveMismatch) as caught:
        back.restore_with({"AWS_ENDPOINT_URL": proxy.endpoint})
    assert "in cold storage" in str(caught.value.detail)
    assert caught.value.hint == "thaw it first: aws s3api restore-object"


def test_a_bucket_that_is_not_there_is_no_damage(back: WayBack, proxy: S3Proxy) -> None:
    back.archive()
    proxy.inject(faults.no_such_bucket(), method="GET", times=None)
    before = back.state()
    with pytest.raises(StoreError, match="NoSuchBucket"):
        back.restore_with({"AWS_ENDPOINT_URL": proxy.endpoint})
    assert back.state() == before


@pytest.mark.fast_cases("reset")
@pytest.mark.parametrize("fault", [faults.slow_down(), faults.disconnect()], ids=["503", "reset"])
def test_what_passes_is_waited_for(back: WayBack, proxy: S3Proxy, fault: faults.Action) -> None:
    back.archive(220)
    injected = proxy.inject(fault, method="GET", target=".parquet", skip=1)
    assert back.restore_with({"AWS_ENDPOINT_URL": proxy.endpoint})["status"] == "ok"
    assert injected.fired == 1
    back.finish()


def test_the_bytes_differ_on_the_way(back: WayBack, proxy: S3Proxy) -> None:
    """What is stored is sound, what arrives is not: nothing of it is restored, and the next run has it."""
    back.archive(220)
    injected = proxy.inject(faults.corrupt_returned(), method="GET", target=back.keys[1], times=None)
    answer = back.restore_with({"AWS_ENDPOINT_URL": proxy.endpoint})
    assert injected.fired >= 1
    assert [(one["key"], one["damage"]) for one in answer["damaged"]] == [(back.keys[1], "altered")]
    back.finish()


def test_damaged_after_it_was_fitted(back: WayBack) -> None:
    """The object whose columns were read is sound then, and gone when its turn comes."""
    back.archive()
    child = back.restoring(hold_at=ProgressStep.PLANNED)
    child.await_step(ProgressStep.PLANNED)
    sound = {key: body_of(back, key) for key in back.keys[:2]}
    for key in sound:
        delete(back, key)
    child.resume()
    assert child.wait() == 0, child.log
    assert child.answer is not None
    assert {one["key"] for one in child.answer["damaged"]} == set(sound)
    assert child.answer["status"] == "partial"
    for key, body in sound.items():
        put(back, key, body)
    back.finish()


def test_the_recorded_version_counts(back: WayBack) -> None:
    """In a bucket with versions a newer one lies above, and a delete marker above another: both are there below."""
    back.env["ARCHIVE_BUCKET"] = f"{back.bucket}-versions"
    back.s3.create_bucket(back.bucket, versioned=True)
    back.archive()
    assert all(entry["version_id"] for entry in back.ledger())
    put(back, back.keys[1], b"newer")
    delete(back, back.keys[2])
    answer = back.restore()
    assert (answer["status"], answer["damaged"]) == ("ok", [])
    assert back.rows_of() == back.due
