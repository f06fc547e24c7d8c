"""The template and `Settings` say the same: every variable is wired, and both take the same values for it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from nightshift.embedders import titan
from nightshift.errors import InvalidSettings
from nightshift.logs.cloudwatch import RETENTION_DAYS
from nightshift.settings import Settings
from tests.template.cloudformation import Stack, Template, complaints, load
from tests.template.conftest import BEDROCK, EVERYTHING, OTHERWISE

SET_BY_LAMBDA = {"AWS_LAMBDA_FUNCTION_MEMORY_SIZE"}
NOT_ON_LAMBDA = {"BACKUP_LOG_DIRECTORY", "BACKUP_PG_CLIENT", "EMBEDDER"}
"""Log files, tools of a host's own, and the local embedder, whose library no layer carries."""
POWERTOOLS = {"POWERTOOLS_METRICS_NAMESPACE", "POWERTOOLS_SERVICE_NAME"}
LIBRARIES = {"PYDANTIC_DISABLE_PLUGINS"}
"""Read by others than us."""
SECRETS = {"DatabaseUrl", "RehearseDatabaseUrl", "RestoreDatabaseUrl", "SlackBotToken"}
WORKERS = {"cleanup": 4, "restore": 2, "expire_jobs": 1}
"""Connections that jobs of the archive make with their memory as it is deployed."""

KEY = "arn:aws:kms:ap-northeast-2:123456789012:key/11111111-2222"
ARN = "arn:aws:secretsmanager:ap-northeast-2:123456789012:secret:nightshift/database-AbCdEf"

# Parameter → values that both must take, values that both must refuse.
VALUES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "DatabaseConnectTimeout": (("1", "10", "99", "100", "119", "120"), ("0", "121", "1.5", "-1", "ten")),
    "DatabaseIamAuth": (("on", "off"), ("maybe",)),
    "ArchivePrefix": (("archive", "a/b", "team=a/x_y-z.1"), ("a b", "아카이브", 'a"b')),
    "ArchiveProof": (("full", "head"), ("none", "FULL")),
    "HistoryKeepDays": (("31", "400", "36500"), ("0", "30", "36501", "-1", "x")),
    "LogRetentionDays": (("1", "30", "36500"), ("0", "36501", "-1", "x")),
    "BackupExcludeRows": (("public.events", '"A".b, c.d'), (",", ",".join(map(str, range(51))))),
    "BackupReplicaHost": (("replica", "a.b-c.example.com:5432", "10.0.0.1"), ("a b", "http://a", "a:b", "-a", "a@b")),
    "BackupKeepDaily": (("1", "7", "99", "999", "2999", "3650"), ("0", "3651", "3700", "4000", "-1", "x")),
    "BackupKeepMonthly": (("0", "9", "12", "119", "120"), ("121", "200", "-1", "x")),
    "BackupKeepWeekly": (("0", "4", "52", "499", "519", "520"), ("521", "530", "600", "-1", "x")),
    "BackupLogRetentionDays": (("1", "30", "3653"), ("0", "3654", "-1", "x")),
    "BackupObjectLockDays": (("1", "14", "9999", "29999", "36500"), ("0", "36501", "37000", "40000", "-1", "x")),
    "BackupPrefix": (("backup", "a/b", "team=a/x_y-z.1"), ("a b", "백업", 'a"b')),
    "BackupSchemas": (("public", "public, app,가", '"Odd one"'), (",", ",".join(map(str, range(51))))),
    "BackupWorkers": (("1", "8"), ("0", "9", "two")),
    "CleanupWorkers": (("1", "8"), ("0", "9", "two")),
    "CleanupChunkMb": (("1", "32", "100", "499", "500", "512"), ("0", "513", "520", "1000", "1.5", "x")),
    "CleanupMaxShare": (("0.9", ".5", "1", "1.0", "0.01"), ("0", "0.0", "1.1", "2", "-0.5", "half")),
    "CleanupLockTimeout": (("5", "0.5", "299.9", "300", "30"), ("0", "0.0", "300.1", "301", "1000", "-1", "x")),
    "CleanupVacuum": (("on", "off"), ("perhaps",)),
    "ExpireBatch": (("1", "5000", "99999", "100000"), ("0", "100001", "200000", "-1", "x")),
    "ExpireFileVersions": (("on", "off"), ("perhaps",)),
    "ExpireFilesBucket": (("uploads", "my-uploads.example.com"), ("Uploads", "ab", "a b", "-a-b", "uploads/", "*")),
    "ExpireLockTimeout": (("5", "0.5", "299.9", "300", "30"), ("0", "0.0", "300.1", "301", "1000", "-1", "x")),
    "ExpireQuiet": (("on", "off"), ("perhaps",)),
    "NightshiftSchema": (("nightshift", "_n1"), ("Nightshift", "a b", "1a", 'a"b')),
    "RehearseWithOwnRights": (("on", "off"), ("perhaps",)),
    "FeedbackTable": (("conversation_log", "app.votes", '"App"."Vote log"', "가" * 255), ("x" * 256,)),
    "FeedbackRating": (("feedback", '"Was it good?"'), ("x" * 256,)),
    "FeedbackLikes": (("like", "like, good,5", "👍"), (",", ",".join(map(str, range(51))))),
    "FeedbackDislikes": (("dislike", "dislike,bad, 1", "👎"), (",", ",".join(map(str, range(51))))),
    "FeedbackNeutral": (("none", "none,0, 3", "😐"), (",", ",".join(map(str, range(51))))),
    "FeedbackKey": (("message_id", "답변"), ("x" * 256,)),
    "FeedbackTime": (("created_at",), ("x" * 256,)),
    "FeedbackEpoch": (("s", "ms", "us", "ns"), ("min", "S")),
    "FeedbackGroup": (("topic", "모델"), ("x" * 256,)),
    "FeedbackComment": (("comment",), ("x" * 256,)),
    "FeedbackDocument": (("document_id",), ("x" * 256,)),
    "FeedbackThreshold": (("0.3", ".25", "0.01", "0.999"), ("0", "0.0", "1", "1.0", "30", "-0.1", "x")),
    "FeedbackMinVotes": (("1", "30", "999999", "1000000"), ("0", "1000001", "2000000", "1.5", "x")),
    "FeedbackConfidence": (("0.5", ".9", "0.95", "0.999"), ("0.49", "1", "1.0", "95", "x")),
    "FeedbackCooldownHours": (("0", "9", "72", "999", "7999", "8699", "8759", "8760"), ("8761", "9000", "-1", "x")),
    "FeedbackDashboardUrl": (("https://bi.example.com/d/1?x=2", "http://10.0.0.1:3000"), ("bi", "https://", "ftp://x")),
    "FeedbackChart": (("on", "off"), ("perhaps",)),
    "EmbeddingDimension": (("256", "512", "1024"), ("0", "16001", "x")),
    "EmbeddingBatch": (("1", "64", "9999", "10000"), ("0", "10001", "20000", "1.5", "x")),
    "EmbeddingWorkers": (("1", "4", "59", "64"), ("0", "65", "70", "100", "x")),
    "SlackAttachCsv": (("on", "off"), ("perhaps",)),
    "SlackCsvRows": (("1", "1000", "49999", "50000"), ("0", "50001", "60000", "100000", "x")),
    "SlackApiUrl": (("https://slack.example.com/api/", "http://127.0.0.1:8080/"), ("slack", "ftp://slack")),
    "ReportLanguage": (("ko", "en"), ("de", "KO")),
    "TimeZone": (("Asia/Seoul", "UTC", "America/Argentina/Buenos_Aires", "Etc/GMT+9"), ("Asia Seoul", "/etc", "")),
}

# Checked by the template alone: `Settings` takes any text, and the mistake would show at run time.
STRICTER: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "DatabaseSecretArn": (("", ARN), ("nightshift/database", ARN.replace("secretsmanager", "ssm"), f"{ARN} ")),
    "DatabaseSecretArns": (("", ARN), ("nightshift/database", "*", f"{ARN}*")),
    "DatabaseUrl": (("", "postgresql://u@h:5432/d", "postgres://u@h/d"), ("mysql://u@h/d", "h:5432", "sqlite:///x")),
    "DatabaseIamUser": (("", "db-ABC123/app", "cluster-X1/app", "prx-0a/app"), ("app", "db-ABC", "db-*/app", "db-A/*")),
    "BackupReplicaResourceId": (("", "db-ABC123", "cluster-X1"), ("ABC", "db-", "db-*", "db-ABC/app")),
    "ArchiveKmsKeyArn": (
        ("", KEY),
        ("alias/x", "1-2", "arn:aws:kms:*:*:key/*"),
    ),
    "ArchivePrefix": (("a", "a/b"), ("", "/a", "a/", "a//b", "a*", "*")),
    "BackupKmsKeyArn": (("", KEY), ("alias/x", "1-2", "arn:aws:kms:*:*:key/*")),
    "BackupLogGroups": (("", "/ecs/api", "a,/aws/lambda/b-1.c#d"), ("*", "/ecs/*", "a b", "a, b", "a,", "a:b", "${x}")),
    "BackupLogRetentionDays": (tuple(map(str, RETENTION_DAYS)), ("2", "31", "3652")),
    "BackupPrefix": (("a", "a/b"), ("", "/a", "a/", "a//b", "a*", "*")),
    "BackupSchedule": (("cron(0 0 * * ? *)", "rate(1 day)"), ("nightly", "")),
    "RehearseDatabaseSecretArn": (("", ARN), ("rehearsal", f"{ARN}*")),
    "RehearseDatabaseUrl": (("", "postgresql://u@h:5432/d"), ("mysql://u@h/d", "h:5432", "sqlite:///x")),
    "RehearseSchedule": (("cron(0 4 ? * SUN *)", "rate(7 days)"), ("weekly", "")),
    "RestoreDatabaseSecretArn": (("", ARN), ("restored", f"{ARN}*")),
    "RestoreDatabaseUrl": (("", "postgresql://u@h:5432/d"), ("mysql://u@h/d", "h:5432", "sqlite:///x")),
    "PolicyFile": (
        ("", "retention.toml", "policies/retention.toml", "ssm:/nightshift/retention", "s3://bucket/a/b.toml"),
        ("ssm:name", "ssm:/a*", "s3://bucket", "s3://bucket/*", "https://example.com/x"),
    ),
    "SlackSecretArn": (("", ARN), ("slack",)),
    "SlackBotToken": (("", "xoxb-1-2-abc"), ("token", "xoxb")),
    "SlackChannel": (
        ("", "C0123ABCDEF", "#ops", "ai-reports", "야간-보고"),
        ("#", "two words", "@somebody", "<#C0123>"),
    ),
    "SecretsKmsKeyArn": (("", KEY), ("alias/x",)),
    "AlarmEmail": (("", "a@example.com"), ("a", "a@b", "a b@example.com")),
    "ExpireFilesPrefix": (("", "jobs/", "a/b/"), ("jobs", "/jobs/", "jobs//", "jo*/", "*")),
    "ExpireJobsSchedule": (("cron(0 * * * ? *)", "rate(1 hour)"), ("hourly", "")),
    "FeedbackSchedule": (("cron(0 9 * * ? *)", "rate(1 day)"), ("daily", "")),
    "EmbeddingModel": (
        (titan.MODEL, f"{BEDROCK}::foundation-model/{titan.MODEL}", f"{BEDROCK}:123456789012:provisioned-model/x1"),
        ("", "amazon.titan-embed-text-v1", f"{BEDROCK}:123456789012:guardrail/x", f"{BEDROCK}::foundation-model/*"),
    ),
    "EmbeddingProfileModels": (("", f"{BEDROCK}::foundation-model/{titan.MODEL}"), (titan.MODEL, "*", BEDROCK)),
    "CleanupSchedule": (("cron(0 9 ? * MON *)", "rate(7 days)"), ("0 9 ? * MON *", "at(2025-01-01T00:00:00)", "")),
}


def test_every_setting_is_wired_and_nothing_else(stack: Stack) -> None:
    wired = {
        name for _, function in stack.of_type("AWS::Lambda::Function") for name in function["Environment"]["Variables"]
    }
    assert (
        wired - POWERTOOLS - LIBRARIES
        == {name.upper() for name in Settings.model_fields} - SET_BY_LAMBDA - NOT_ON_LAMBDA
    )


def test_every_deployment_starts_with_usable_settings(stack: Stack) -> None:
    for _, function in stack.of_type("AWS::Lambda::Function"):
        variables = {**function["Environment"]["Variables"], "ARCHIVE_BUCKET": "archive"}
        variables |= {"BACKUP_BUCKET": "backups", "EVENT_BUS": "bus"}
        settings = Settings.from_env({**variables, "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": function["MemorySize"]})
        assert settings.timezone == "Asia/Seoul"
        assert settings.workers == WORKERS.get(function["Handler"].split(".", 1)[0], settings.workers)
        assert settings.backup_workers == 2


@pytest.mark.parametrize("parameter", VALUES)
def test_template_and_settings_take_the_same_values(parameter: str) -> None:
    template = load()
    spec, variable = template["Parameters"][parameter], _variable(template, parameter)
    taken, refused = VALUES[parameter]
    for value in taken:
        assert _accepts(spec, value), value
        Settings.from_env({variable: value})
    for value in refused:
        assert not _accepts(spec, value), value
        if value:
            with pytest.raises(InvalidSettings):
                Settings.from_env({variable: value})


def test_what_the_template_takes_for_a_model_the_embedder_takes() -> None:
    for model in STRICTER["EmbeddingModel"][0]:
        titan.model_identity(model, 1024)


@pytest.mark.parametrize("parameter", STRICTER)
def test_the_template_refuses_what_would_fail_at_night(parameter: str) -> None:
    spec = load()["Parameters"][parameter]
    taken, refused = STRICTER[parameter]
    assert [value for value in taken if not _accepts(spec, value)] == []
    assert [value for value in refused if _accepts(spec, value)] == []


# What the rules demand of parameters that depend on each other: given beside a database, and what is said against it.
COMPLAINTS: tuple[tuple[dict[str, str], str], ...] = (
    ({"DatabaseUrl": ""}, "give one of DatabaseSecretArn, DatabaseSecretArns"),
    ({"DatabaseSecretArn": ARN}, "give one of DatabaseSecretArn, DatabaseSecretArns"),
    ({"DatabaseSecretArns": f"{ARN},{ARN}"}, "give one of DatabaseSecretArn, DatabaseSecretArns"),
    ({"DatabaseUrl": "", "DatabaseSecretArns": f"{ARN},,{ARN}"}, "give one of DatabaseSecretArn, DatabaseSecretArns"),
    ({"DatabaseIamAuth": "on"}, "DatabaseIamAuth needs DatabaseIamUser"),
    (
        {"DatabaseIamAuth": "on", "DatabaseIamUser": "db-A/u", "BackupReplicaHost": "replica"},
        "BackupReplicaHost with DatabaseIamAuth needs BackupReplicaResourceId",
    ),
    ({"SlackSecretArn": ARN, "SlackBotToken": "xoxb-1"}, "give SlackSecretArn or SlackBotToken, not both"),
    ({"SubnetIds": "subnet-1"}, "SubnetIds needs SecurityGroupIds"),
    ({"ExpireJobsState": "ENABLED"}, "ExpireJobsState ENABLED needs a PolicyFile"),
    ({"ExpireFileVersions": "on"}, "ExpireFileVersions needs ExpireFilesBucket"),
    ({"BackupLogRetentionDays": "30"}, "BackupLogRetentionDays needs BackupLogGroups"),
    ({"ReembedState": "ENABLED"}, "ReembedState ENABLED needs a PolicyFile"),
)


@pytest.mark.parametrize(("given", "sentence"), COMPLAINTS)
def test_parameters_that_do_not_fit_each_other_are_refused(given: dict[str, str], sentence: str) -> None:
    (said,) = complaints(load(), **{"DatabaseUrl": "postgresql://u@h/d", **given})
    assert sentence in said


@pytest.mark.parametrize("given", [{"DatabaseUrl": "postgresql://u@h/d"}, EVERYTHING, OTHERWISE])
def test_parameters_that_fit_each_other_are_taken(given: dict[str, str]) -> None:
    assert complaints(load(), **given) == []


def test_every_rule_is_heard_of() -> None:
    said = [assertion["AssertDescription"] for rule in load()["Rules"].values() for assertion in rule["Assertions"]]
    assert all(any(sentence in one for _, sentence in COMPLAINTS) for one in said)


def test_every_parameter_is_explained_used_grouped_and_has_a_legal_default() -> None:
    template = load()
    groups = template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    grouped = [name for group in groups for name in group["Parameters"]]
    body = {key: value for key, value in template.items() if key not in ("Parameters", "Metadata")}
    used = set(_references(body))
    assert sorted(grouped) == sorted(template["Parameters"])
    for name, spec in template["Parameters"].items():
        assert spec.get("Description"), name
        assert name in used, name
        assert _accepts(spec, str(spec["Default"])), name
        assert spec.get("NoEcho", False) is (name in SECRETS), name


def _accepts(spec: dict[str, Any], value: str) -> bool:
    """Returns whether CloudFormation would take this value for a parameter."""
    if "AllowedValues" in spec and value not in map(str, spec["AllowedValues"]):
        return False
    if spec["Type"] == "Number":
        if not re.fullmatch(r"-?\d+(\.\d+)?", value):
            return False
        return bool(spec.get("MinValue", float(value)) <= float(value) <= spec.get("MaxValue", float(value)))
    return re.fullmatch(spec.get("AllowedPattern", ".*"), value) is not None


def _variable(template: Template, parameter: str) -> str:
    """The environment variable that a parameter becomes."""
    functions = [r for r in template["Resources"].values() if r["Type"] == "AWS::Serverless::Function"]
    places = [template["Globals"]["Function"], *(function["Properties"] for function in functions)]
    wired = [wire for place in places for wire in place["Environment"]["Variables"].items()]
    (name,) = {str(name) for name, value in wired if value == {"Ref": parameter}}
    return name


def _references(node: Any) -> list[str]:
    """Every name that a `Ref` or a `Sub` mentions."""
    if isinstance(node, list):
        return [name for value in node for name in _references(value)]
    if not isinstance(node, dict):
        return []
    found = [node["Ref"]] if isinstance(node.get("Ref"), str) else []
    if "Fn::Sub" in node:
        text = node["Fn::Sub"] if isinstance(node["Fn::Sub"], str) else node["Fn::Sub"][0]
        found += re.findall(r"\$\{([\w:]+)", text)
    return found + [name for value in node.values() for name in _references(value)]
