"""Keys and buckets that S3 refuses, each for itself: they do not hold up the others."""

from __future__ import annotations

import pytest

from local.job_data import file_key
from tests.expiry.faults.meeting_s3 import FILES, FIRST, assert_waiting, inject, later, run, run_impatiently
from tests.support import s3_deletions as deletions
from tests.support import s3_faults as faults
from tests.support.expiring import POLICY, JobScene
from tests.support.s3_proxy import S3Proxy


@pytest.mark.fast_cases("bell")
@pytest.mark.parametrize("odd", ["jobs/bell\x07.pdf", "jobs/no\ufffecharacter.pdf", "jobs/line\rfeed & <b>.pdf"])
def test_a_key_that_xml_cannot_carry(jobs: JobScene, proxy: S3Proxy, odd: str) -> None:
    """One key spoils the request for all that are in it: they go one by one."""
    jobs.fill(8)
    name(jobs, FIRST, odd)
    inject(proxy, deletions.malformed_where(odd[5:9]), times=None)
    answer = run(jobs, proxy)
    assert (answer["status"], answer["files"]["deleted"]) == ("ok", 32)
    assert ("DELETE", f"{jobs.bucket}/{odd}") in proxy.seen
    jobs.assert_done()


def test_a_key_that_s3_takes_in_no_way(jobs: JobScene, proxy: S3Proxy) -> None:
    jobs.fill()
    inject(proxy, deletions.malformed_where(FIRST), times=None)
    proxy.inject(faults.answer(400, "KeyTooLongError"), method="DELETE", target=FIRST, times=None)
    answer = run(jobs, proxy)
    assert_waiting(jobs, answer, {"KeyTooLongError": 1})
    proxy.heal()
    jobs.converge(scheduled_time=later(1))


@pytest.mark.slow
def test_one_by_one_it_does_not_go_on_without_s3(jobs: JobScene, proxy: S3Proxy) -> None:
    """When S3 falls silent, the keys that are left are not tried each."""
    jobs.fill(8)
    inject(proxy, faults.answer(400, "MalformedXML"), times=None)
    down = proxy.inject(faults.disconnect(), method="DELETE", target="jobs/", times=None, skip=10)
    answer = run_impatiently(jobs, proxy.endpoint)
    assert 0 < down.fired <= 4
    assert (answer["files"]["deleted"], answer["files"]["waiting"]) == (10, 22)
    assert answer["files"]["failed"] <= 2
    jobs.assert_sound()
    proxy.heal()
    jobs.converge(scheduled_time=later(1))


def name(jobs: JobScene, old: str, new: str) -> None:
    """Rename a file, in S3 and in its row."""
    client = jobs.s3.client()
    client.put_object(Bucket=jobs.bucket, Key=new, Body=b"x")
    client.delete_object(Bucket=jobs.bucket, Key=old)
    literal = "".join(f"\\{ord(character):04x}" if not character.isprintable() else character for character in new)
    jobs.sql(f"UPDATE job_file SET s3_key = U&'{literal}' WHERE s3_key = '{old}'")


UNCHECKED = 'bucket_column = "bucket"\nbuckets = ["no-such-bucket"]\ncheck = false'
"""Of a policy: no file is looked up before rows go."""


@pytest.mark.slow
def test_a_bucket_that_is_not_there(jobs: JobScene, proxy: S3Proxy) -> None:
    """It never counts as deleted, and the other bucket's files go."""
    strange, code = "no-such-bucket", "NoSuchBucket"
    jobs.fill()
    jobs.policies(POLICY.replace('bucket_column = "bucket"', UNCHECKED))
    jobs.sql(f"UPDATE job_file SET bucket = '{strange}' WHERE s3_key = '{FIRST}'")
    answer = run(jobs, proxy)
    assert_waiting(jobs, answer, {code: 1})
    (failure,) = answer["files"]["failures"]
    assert (failure["bucket"], failure["example"]) == (strange, FIRST)
    assert answer["files"]["deleted"] == FILES - 1
    jobs.sql(f"UPDATE nightshift_file_deletion SET bucket = '{jobs.bucket}'")
    jobs.converge(scheduled_time=later(1))


@pytest.mark.slow
def test_versions_refused(jobs: JobScene, proxy: S3Proxy) -> None:
    """File by file: what S3 refuses of one does not stop the next."""
    jobs.fill(8)
    jobs.policies(POLICY.replace('bucket_column = "bucket"', UNCHECKED))
    client = jobs.s3.client()
    client.put_bucket_versioning(Bucket=jobs.bucket, VersioningConfiguration={"Status": "Enabled"})
    client.put_object(Bucket=jobs.bucket, Key=FIRST, Body=b"newer")
    env = {"AWS_ENDPOINT_URL": proxy.endpoint, "EXPIRE_FILE_VERSIONS": "on"}
    denied = proxy.inject(faults.access_denied(), method="GET", target=f"prefix={FIRST}")
    nonsense = proxy.inject(deletions.say("{}"), method="GET", target=f"prefix={file_key(2, 1)}", times=None)
    answer = jobs.run_with(env)
    assert (denied.fired, nonsense.fired > 0) == (1, True)
    assert answer["files"]["waiting"] >= 2
    assert "AccessDenied" in {failure["code"] for failure in answer["files"]["failures"]}
    proxy.heal()
    assert jobs.run_with(env, scheduled_time=later(1))["complete"] is True
    left = client.list_object_versions(Bucket=jobs.bucket)
    assert {entry["Key"] for entry in left["Versions"]} == jobs.named()
    assert "DeleteMarkers" not in left
