"""The [[expiry]] part of a policy file: read as written, or refused with every mistake named."""

from __future__ import annotations

from datetime import date
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightshift.errors import InvalidSettings
from nightshift.policy.expiry import DependentPolicy, ExpiryPolicy, FilesPolicy
from nightshift.policy.file import load_policies, parse_policies
from nightshift.settings import Settings
from tests.support.attempts import attempt

SETTINGS = Settings.from_env({"TIMEZONE": "Europe/Berlin"})

WHOLE = """
[[expiry]]
table = "app.job"
expires_at = "ends"
timezone = "UTC"
epoch = "ms"
archive = true
cascade = ["payment", "report"]

[[expiry.files]]
table = "job_file"
key = "s3_key"
bucket = "uploads"

[[expiry.files]]
table = "report"
key = "pdf"
bucket_column = "place"

[[expiry.dependents]]
table = "sms_log"
columns = ["tenant", "job"]
references = "app.job"
referenced = ["tenant", "id"]

[[retention]]
table = "conversation_log"

[[expiry]]
table = "cart"
"""


def parse(text: str) -> tuple[ExpiryPolicy, ...]:
    return parse_policies(text, SETTINGS, source="policies.toml").expiry


def test_a_file_says_it_all() -> None:
    policies = parse_policies(WHOLE, SETTINGS, source="policies.toml")

    job, cart = policies.expiry
    assert (job.table, job.expires_at, job.zone, job.epoch) == ("app.job", "ends", ZoneInfo("UTC"), "ms")
    assert (job.archive, job.cascade) == (True, ["payment", "report"])
    assert job.files == [
        FilesPolicy(table="job_file", key="s3_key", bucket="uploads"),
        FilesPolicy(table="report", key="pdf", bucket_column="place"),
    ]
    assert job.dependents == [
        DependentPolicy(table="sms_log", columns=["tenant", "job"], references="app.job", referenced=["tenant", "id"])
    ]
    assert cart == ExpiryPolicy(table="cart", expires_at="expires_at", timezone="Europe/Berlin")
    assert (cart.epoch, cart.archive, cart.cascade, cart.files, cart.dependents) == (None, False, None, [], [])
    assert [policy.table for policy in policies.retention] == ["conversation_log"]


def test_without_a_file_nothing_expires() -> None:
    assert load_policies(SETTINGS, lambda source: pytest.fail(f"nothing to read at {source}")).expiry == ()


def test_an_empty_list_of_tables_is_not_no_list() -> None:
    assert [policy.cascade for policy in parse('[[expiry]]\ntable = "a"\ncascade = []')] == [[]]


ENTRY = '[[expiry]]\ntable = "job"\n'


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('[[expiry]]\nexpires_at = "x"', "[[expiry]] 1 (?): table"),
        (ENTRY + "keep_days = 30", "[[expiry]] 1 (job): keep_days: unknown key"),
        (ENTRY + 'timezone = "Mars/Base"', "timezone: should be an IANA time zone"),
        (ENTRY + 'epoch = "min"', "epoch"),
        (ENTRY + 'archive = "yes"', "archive"),
        (ENTRY + 'cascade = "payment"', "cascade"),
        (ENTRY + "cascade = [1]", "cascade.0"),
        (ENTRY + 'table2 = "x"\nexpires = "y"', "table2: unknown key"),
        (ENTRY + '[[expiry.files]]\ntable = "f"', "files.0.key"),
        (ENTRY + '[[expiry.files]]\ntable = "f"\nkey = ""', "files.0.key"),
        (
            ENTRY + '[[expiry.files]]\ntable = "f"\nkey = "k"\nbucket = "b-1"\nbucket_column = "b"',
            "bucket_column, not both",
        ),
        (ENTRY + '[[expiry.files]]\ntable = "f"\nkey = "k"\nbucket = "Not A Bucket"', "files.0.bucket"),
        (ENTRY + '[[expiry.files]]\ntable = "f"\nkey = "k"\nsuffix = "x"', "files.0.suffix: unknown key"),
        (ENTRY + '[expiry.files]\ntable = "f"\nkey = "k"', "files"),
        (ENTRY + '[[expiry.dependents]]\ntable = "d"', "dependents.0.columns"),
        (ENTRY + '[[expiry.dependents]]\ntable = "d"\ncolumns = []', "dependents.0.columns"),
        (ENTRY + '[[expiry.dependents]]\ntable = "d"\ncolumns = "c"', "dependents.0.columns"),
        (ENTRY + '[[expiry.dependents]]\ntable = "d"\ncolumns = ["c"]\nreferenced = []', "dependents.0.referenced"),
        (ENTRY + '[[expiry.dependents]]\ntable = "d"\ncolumns = ["c"]\non_delete = "x"', "on_delete: unknown key"),
        (ENTRY + ENTRY, "table job has more than one policy"),
        ('[expiry]\ntable = "job"', "no [[retention]] and no [[expiry]]"),
        ('[[retention]]\ntable = "a"\n[expiry]\ntable = "job"', "should be written [[expiry]]"),
        ("expiry = [1]", "[[expiry]] 1: should be a table"),
        ("expiry = []", "no [[retention]] and no [[expiry]]"),
        ('[[expire]]\ntable = "job"', "expire"),
        (ENTRY + '[[files]]\ntable = "f"\nkey = "k"', "files"),
        ("", "no [[retention]] and no [[expiry]]"),
    ],
)
def test_a_mistake_is_named(text: str, named: str) -> None:
    with pytest.raises(InvalidSettings) as refused:
        parse(text)

    assert named in str(refused.value.detail)


def test_every_mistake_is_named_at_once() -> None:
    with pytest.raises(InvalidSettings) as refused:
        parse(
            '[[retention]]\ntable = "log"\nkeep_days = 0\n'
            '[[expiry]]\ntable = "job"\nepoch = "min"\n[[expiry.files]]\ntable = "f"\n[[expiry.files]]\nkey = "k"\n'
            '[[expiry]]\ntable = "cart"\nextra = 1\n'
        )

    lines = str(refused.value.detail).splitlines()
    assert all(line.startswith("policies.toml: [[") for line in lines)
    named = ["(log): keep_days", "(job): epoch", "(job): files.0.key", "(job): files.1.table", "(cart): extra"]
    assert [part for part in named if not any(part in line for line in lines)] == []
    assert len(lines) == len(named)


toml_values = st.one_of(
    st.integers(-(2**63), 2**63 - 1).map(str),
    st.booleans().map(lambda b: str(b).lower()),
    st.dates(date(1970, 1, 1), date(2100, 1, 1)).map(str),
    st.sampled_from(
        ['"Asia/Seoul"', '"a"', '"s"', '""', "[]", "{}", "{a = 1}", '["x"]', '[{table = "a", key = "k"}]', "nan"]
    ),
)
keys = st.sampled_from([*ExpiryPolicy.model_fields, "odd"])


@given(st.lists(st.dictionaries(keys, toml_values), min_size=1, max_size=3))
def test_any_entries_are_policies_or_refused_by_key(entries: list[dict[str, str]]) -> None:
    text = "\n".join("[[expiry]]\n" + "\n".join(f"{k} = {v}" for k, v in entry.items()) for entry in entries)
    policies = attempt(InvalidSettings, lambda: parse(text))
    if isinstance(policies, InvalidSettings):
        assert str(policies.detail).startswith("policies.toml: ")
        return
    assert len({policy.table for policy in policies}) == len(entries)
    for policy, entry in zip(policies, entries, strict=True):
        assert "odd" not in entry
        assert f'"{policy.table}"' == entry["table"]
        assert all(one.key for one in policy.files)
