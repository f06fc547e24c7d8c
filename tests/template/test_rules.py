"""The template holds every rule; and every rule is shown to bite."""

from __future__ import annotations

from typing import Any

import pytest

from tests.template import rules
from tests.template.cloudformation import REMOVED, SamTransform, Stack, Template, alter, deploy
from tests.template.conftest import EVERYTHING

FUNCTION = "Resources.CleanupFunction.Properties"
SCHEDULE = f"{FUNCTION}.Events.Schedule.Properties"
ROLE = "Resources.CleanupRole.Properties"
EXPIRY = "Resources.ExpireJobsFunction.Properties"
FEEDBACK = "Resources.FeedbackFunction.Properties"
REEMBED = "Resources.ReembedFunction.Properties"
RULE = f"{REEMBED}.Events.Threshold.Properties"
UNDELIVERED = "Resources.UndeliveredQueuePolicy.Properties.PolicyDocument.Statement.0"
MODEL = "Resources.ReembedRole.Properties.Policies.2.PolicyDocument.Statement"
BACKUP = "Resources.BackupFunction.Properties"
BACKUPS = "Resources.BackupBucket.Properties"
STAMPS = "Resources.RehearseRole.Properties.Policies.1.PolicyDocument.Statement.2"
LOG_GROUPS = "Resources.BackupRole.Properties.Policies.2.Fn::If.1.PolicyDocument.Statement"
EXPIRY_FILES = "Resources.ExpireJobsRole.Properties.Policies.2.Fn::If.1.PolicyDocument.Statement"
BUCKET = "Resources.ArchiveBucket.Properties"
WITH_KEY = f"{BUCKET}.BucketEncryption.ServerSideEncryptionConfiguration.0.Fn::If.1"
GLOBALS = "Globals.Function"


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: str(rule.__name__))
def test_the_template_holds_every_rule(stack: Stack, rule: rules.Rule) -> None:
    assert list(rule(stack)) == []


# One way to break the template for each sentence that a rule can say: where, with what, and a part of the sentence.
BREAKS: tuple[tuple[str, Any, str], ...] = (
    (f"{GLOBALS}.Runtime", "python3.9", "the layers are built for python3.13"),
    (f"{GLOBALS}.Architectures", ["arm65"], "no one known architecture"),
    (f"{GLOBALS}.Architectures", REMOVED, "no one known architecture"),
    (f"{GLOBALS}.Architectures", ["x86_64"], "its layers on ['arm64']"),
    (f"{GLOBALS}.Timeout", 901, "Timeout 901"),
    (f"{GLOBALS}.Timeout", REMOVED, "Timeout None"),
    ("Parameters.CleanupMemory.Default", 64, "MemorySize 64"),
    ("Parameters.CleanupMemory.Default", 10_241, "MemorySize 10241"),
    ("Parameters.CleanupEphemeralStorage.Default", 256, "/tmp of 256 MB"),
    (f"{FUNCTION}.Layers", [f"arn:layer:{n}" for n in range(6)], "more than five layers"),
    (f"{GLOBALS}.RecursiveLoop", "Allow", "call itself for ever"),
    (f"{FUNCTION}.LoggingConfig.LogGroup", REMOVED, "no log group"),
    (f"{FUNCTION}.LoggingConfig.LogGroup", "/aws/lambda/other", "no log group"),
    ("Resources.CleanupLogGroup.Properties.RetentionInDays", REMOVED, "keeps its logs for ever"),
    (f"{FUNCTION}.LoggingConfig.LogFormat", "Text", "does not log JSON"),
    ("Parameters.LogLevel.Default", "WARN", "drops its metrics"),
    (f"{FUNCTION}.EventInvokeConfig", REMOVED, "is not tried again"),
    (f"{FUNCTION}.EventInvokeConfig.MaximumRetryAttempts", 0, "is not tried again"),
    (f"{FUNCTION}.EventInvokeConfig.DestinationConfig", REMOVED, "no queue for failed runs"),
    (f"{ROLE}.Policies.0.PolicyDocument.Statement.1.Action", "sqs:ReceiveMessage", "may not send to its queue"),
    (f"{FUNCTION}.Events", REMOVED, "nothing starts CleanupFunction"),
    ("Resources.RestoreFunction.Metadata.StartedBy", REMOVED, "nothing starts RestoreFunction"),
    ("Resources.CleanupFunction.Metadata.StartedBy", "hand", "is to be started by hand, and has a schedule"),
    (f"{EXPIRY}.Events", REMOVED, "nothing starts ExpireJobsFunction"),
    (f"{REEMBED}.Events", REMOVED, "nothing starts ReembedFunction"),
    (f"{FEEDBACK}.Events", REMOVED, "nothing starts FeedbackFunction"),
    (f"{REEMBED}.RecursiveLoop", REMOVED, "ReembedFunction may be stopped before it is through"),
    (f"{FEEDBACK}.RecursiveLoop", "Allow", "FeedbackFunction may call itself for ever"),
    ("Resources.ReembedRole.Properties.Policies.1", REMOVED, "ReembedFunction may call itself for ever"),
    (f"{RULE}.EventBusName", REMOVED, "listens to a bus that is not the stack's"),
    (f"{RULE}.EventBusName", "default", "listens to a bus that is not the stack's"),
    (f"{RULE}.Pattern.source", ["nightshift", "shop"], "hears of others than nightshift"),
    (f"{RULE}.Pattern.detail-type", ["FeedbackThresholdExceeded"], "never hears of ReembedUnfinished"),
    (f"{RULE}.Pattern.detail-type", ["ReembedUnfinished"], "never hears of FeedbackThresholdExceeded"),
    (f"{RULE}.RetryPolicy", REMOVED, "ReembedFunctionThreshold is delivered once or never"),
    (f"{RULE}.InputPath", "$.detail", "changes the event, and its time is lost"),
    (f"{RULE}.DeadLetterConfig", REMOVED, "ReembedFunctionThreshold has no queue for undelivered"),
    ("Resources.UndeliveredQueuePolicy", REMOVED, "ReembedFunctionThreshold may not send to its queue"),
    (f"{UNDELIVERED}.Condition", REMOVED, "ReembedFunctionThreshold may not send to its queue"),
    (f"{UNDELIVERED}.Principal", {"Service": "sns.amazonaws.com"}, "ReembedFunctionThreshold may not send to its"),
    (f"{MODEL}.0.Resource", "arn:aws:bedrock:ap-northeast-2::foundation-model/*", "on arn:aws:bedrock"),
    (f"{MODEL}.0.Action", "bedrock:*", "wildcard action bedrock:*"),
    ("Resources.EventBus.Properties.Name", "events", "Name events is the same in every stack"),
    ("Outputs.EventBusName", REMOVED, "nothing tells the name of EventBus"),
    ("Resources.ReembedErrorsAlarm", REMOVED, "nobody is told of errors in ReembedFunction"),
    ("Resources.ReembedPoisonedAlarm.Properties.Namespace", "nightshift", "writes elsewhere"),
    ("Parameters.ExpireJobsMemory.Default", 64, "MemorySize 64"),
    (f"{EXPIRY}.LoggingConfig.LogGroup", REMOVED, "ExpireJobsFunction has no log group"),
    (f"{EXPIRY}.EventInvokeConfig", REMOVED, "ExpireJobsFunction is not tried again"),
    (f"{EXPIRY}.Events.Schedule.Properties.DeadLetterConfig", REMOVED, "no queue for undelivered"),
    ("Parameters.ExpireJobsSchedule.Default", "cron(0 * * * * *)", "exactly one of"),
    (f"{BACKUP}.Events", REMOVED, "nothing starts BackupFunction"),
    ("Resources.RehearseFunction.Properties.Events", REMOVED, "nothing starts RehearseFunction"),
    ("Resources.RestoreBackupFunction.Metadata.StartedBy", REMOVED, "nothing starts RestoreBackupFunction"),
    (f"{BACKUP}.LoggingConfig.LogGroup", REMOVED, "BackupFunction has no log group"),
    (f"{BACKUP}.EventInvokeConfig", REMOVED, "BackupFunction is not tried again"),
    ("Parameters.BackupEphemeralStorage.Default", 256, "/tmp of 256 MB"),
    ("Parameters.RehearseSchedule.Default", "cron(0 4 ? * 0 *)", "day of week: '0'"),
    ("Resources.PgClientLayer.Properties.CompatibleArchitectures", ["x86_64"], "its layers on"),
    ("Resources.BackupErrorsAlarm", REMOVED, "nobody is told of errors in BackupFunction"),
    ("Resources.RehearseErrorsAlarm", REMOVED, "nobody is told of errors in RehearseFunction"),
    ("Resources.RestoreBackupErrorsAlarm", REMOVED, "nobody is told of errors in RestoreBackupFunction"),
    ("Resources.BackupShrunkAlarm.Properties.Namespace", "nightshift", "writes elsewhere"),
    ("Resources.BackupUnprovenAlarm.Properties.AlarmActions", REMOVED, "BackupUnprovenAlarm tells nobody"),
    (f"{STAMPS}.Resource", {"Fn::Sub": "${BackupBucket.Arn}/*/proven.json"}, "on <BackupBucket.Arn>/*/proven.json"),
    (
        "Resources.RestoreRole.Properties.Policies.1.PolicyDocument.Statement.1.Condition",
        {"StringLikeIfExists": {"s3:prefix": "archive/*"}},
        "RestoreRole may list all of a bucket",
    ),
    (f"{LOG_GROUPS}.0.Condition", REMOVED, "on arn:*:logs:*:*:log-group:/ecs/api:*"),
    (f"{LOG_GROUPS}.0.Resource", "arn:*:logs:*:*:log-group:*:*", "on arn:*:logs:*:*:log-group:*:*"),
    (f"{LOG_GROUPS}.1.Fn::If.1.Action", "logs:FilterLogEvents", "logs:FilterLogEvents on arn:aws:logs"),
    ("Resources.BackupBucket.DeletionPolicy", "Delete", "BackupBucket goes with its stack"),
    (f"{BACKUPS}.VersioningConfiguration.Status", "Suspended", "BackupBucket keeps no versions"),
    (f"{BACKUPS}.LifecycleConfiguration.Rules.0.ExpirationInDays", 30, "BackupBucket deletes what it is to keep"),
    ("Resources.BackupBucketPolicy", REMOVED, "BackupBucket answers without TLS"),
    ("Outputs.BackupBucketName", REMOVED, "nothing tells the name of BackupBucket"),
    (f"{SCHEDULE}.ScheduleExpressionTimezone", "Asia/Soul", "Asia/Soul is no time zone"),
    (f"{SCHEDULE}.ScheduleExpressionTimezone", REMOVED, "None is no time zone"),
    ("Parameters.CleanupSchedule.Default", "cron(0 9 * * MON *)", "exactly one of"),
    ("Parameters.CleanupSchedule.Default", "cron(0 9 ? * MON)", "six fields"),
    (f"{SCHEDULE}.RetryPolicy", {"MaximumRetryAttempts": 0}, "delivered once or never"),
    (f"{SCHEDULE}.DeadLetterConfig", REMOVED, "no queue for undelivered"),
    (f"{SCHEDULE}.RoleArn", {"Fn::GetAtt": ["CleanupRole", "Arn"]}, "may not invoke its function"),
    (f"{SCHEDULE}.RoleArn", {"Fn::GetAtt": ["CleanupRole", "Arn"]}, "may not send to its queue for undelivered"),
    (f"{SCHEDULE}.Input", REMOVED, "the input is not understood"),
    (f"{SCHEDULE}.Input", '{"scheduled-time": "<aws.scheduler.scheduled-time>"}', "scheduled-time: unknown key"),
    (f"{SCHEDULE}.Input", "{}", "does not carry its scheduled time"),
    (f"{SCHEDULE}.Input", '{"schedule_arn": "<aws.scheduler.execution-id>"}', "the execution id differs"),
    ("Resources.FailedRunsQueue.Properties.SqsManagedSseEnabled", False, "FailedRunsQueue is not encrypted"),
    ("Resources.UndeliveredQueue.Properties.MessageRetentionPeriod", REMOVED, "forgets before two weeks"),
    ("Resources.FailedRunsAlarm", REMOVED, "nobody is told of messages in FailedRunsQueue"),
    ("Resources.UndeliveredAlarm.Properties.Dimensions", [], "nobody is told of messages in UndeliveredQueue"),
    ("Resources.CleanupErrorsAlarm", REMOVED, "nobody is told of errors in CleanupFunction"),
    ("Resources.RestoreErrorsAlarm", REMOVED, "nobody is told of errors in RestoreFunction"),
    ("Resources.ExpireJobsErrorsAlarm", REMOVED, "nobody is told of errors in ExpireJobsFunction"),
    ("Resources.ExpireJobsFilesAlarm.Properties.Namespace", "nightshift", "writes elsewhere"),
    ("Resources.CleanupRefusedAlarm.Properties.Namespace", "nightshift", "writes elsewhere"),
    (f"{GLOBALS}.Environment.Variables.POWERTOOLS_METRICS_NAMESPACE", "nightshift", "writes elsewhere"),
    ("Resources.CleanupOverdueAlarm.Properties.AlarmActions", REMOVED, "CleanupOverdueAlarm tells nobody"),
    ("Resources.CleanupOverdueAlarm.Properties.TreatMissingData", REMOVED, "cries where nothing ran"),
    (f"{ROLE}.Policies.1.PolicyDocument.Statement.0.Action", "s3:*", "wildcard action s3:*"),
    (f"{ROLE}.Policies.1.PolicyDocument.Statement.0.Action.0", "s3:Put*", "wildcard action s3:Put*"),
    (f"{ROLE}.Policies.1.PolicyDocument.Statement.0.Resource", "*", "on *"),
    (f"{ROLE}.Policies.1.PolicyDocument.Statement.0.Resource", {"Fn::Sub": "${ArchiveBucket.Arn}/*"}, "on <Archive"),
    (f"{ROLE}.Policies.0.PolicyDocument.Statement.0.Resource", "arn:aws:logs:*:*:*", "on arn:aws:logs:*"),
    (f"{EXPIRY_FILES}.0.Resource", "arn:aws:s3:::*/jobs/*", "on arn:aws:s3:::*/jobs/*"),
    (f"{EXPIRY_FILES}.0.Resource", {"Fn::Sub": "arn:aws:s3:::${ExpireFilesBucket}*"}, "on arn:aws:s3:::uploads"),
    (f"{EXPIRY_FILES}.0.Resource", {"Fn::Sub": "arn:aws:s3:::${ExpireFilesBucket}/jo*"}, "on arn:aws:s3:::uploads"),
    (f"{ROLE}.ManagedPolicyArns", ["arn:aws:iam::aws:policy/AmazonS3FullAccess"], "managed policy"),
    (f"{GLOBALS}.VpcConfig", REMOVED, "managed policy arn:aws:iam::aws:policy/service-role/AWSLambdaENI"),
    (f"{ROLE}.AssumeRolePolicyDocument.Statement.0.Principal", {"AWS": "*"}, "can be assumed by"),
    ("Resources.ArchiveBucket.DeletionPolicy", "Delete", "goes with its stack"),
    ("Resources.ArchiveBucket.UpdateReplacePolicy", REMOVED, "goes with its stack"),
    (f"{BUCKET}.VersioningConfiguration.Status", "Suspended", "keeps no versions"),
    (f"{BUCKET}.PublicAccessBlockConfiguration.BlockPublicPolicy", False, "not closed to the public"),
    (f"{BUCKET}.PublicAccessBlockConfiguration.IgnorePublicAcls", REMOVED, "not closed to the public"),
    (f"{BUCKET}.OwnershipControls", REMOVED, "obeys ACLs"),
    (f"{BUCKET}.BucketEncryption", REMOVED, "ArchiveBucket is not encrypted"),
    (f"{WITH_KEY}.BucketKeyEnabled", False, "asks KMS once for every object"),
    (f"{WITH_KEY}.ServerSideEncryptionByDefault.KMSMasterKeyID", REMOVED, "a key that nobody named"),
    (f"{BUCKET}.LifecycleConfiguration.Rules.0.AbortIncompleteMultipartUpload", REMOVED, "never tidies up: Abort"),
    (f"{BUCKET}.LifecycleConfiguration.Rules.0.Status", "Disabled", "never tidies up: Noncurrent"),
    (f"{BUCKET}.LifecycleConfiguration.Rules.1", REMOVED, "never tidies up: ExpiredObjectDeleteMarker"),
    (f"{BUCKET}.LifecycleConfiguration.Rules.0.ExpirationInDays", 365, "deletes what it is to keep"),
    ("Resources.ArchiveBucketPolicy", REMOVED, "answers without TLS"),
    ("Resources.ArchiveBucketPolicy.Properties.PolicyDocument.Statement.0.Effect", "Allow", "answers without TLS"),
    ("Resources.FailedRunsQueue.Properties.QueueName", "failed", "QueueName failed is the same in every stack"),
    (f"{FUNCTION}.FunctionName", "cleanup", "FunctionName cleanup is the same in every stack"),
    (f"{SCHEDULE}.Name", REMOVED, "Name CleanupFunctionSchedule is the same in every stack"),
    ("Resources.CleanupRole.Properties.RoleName", "cleanup", "RoleName cleanup is the same in every stack"),
    (f"{FUNCTION}.FunctionName", {"Fn::Sub": "cleanup-${AWS::StackName}"}, "does not begin with the stack's name"),
    ("Resources.RestoreFunction.Properties.FunctionName", {"Fn::Sub": "${AWS::StackName}-b-cleanup"},
     "-b-cleanup is CleanupFunction of the stack teststack-b"),
    (f"{BUCKET}.BucketName", {"Fn::Sub": "${AWS::StackName}-archive"}, "somebody else's account"),
    ("Outputs.ArchiveBucketName.Export", {"Name": "bucket"}, "ArchiveBucketName is exported under one name"),
    ("Parameters.SlackChannel.Description", REMOVED, "SlackChannel is not explained"),
    ("Parameters.SlackChannel.Default", REMOVED, "SlackChannel has no default"),
    ("Parameters.SlackChannel.AllowedPattern", REMOVED, "SlackChannel takes anything"),
    ("Parameters.SlackChannel.ConstraintDescription", REMOVED, "SlackChannel does not say what it wants"),
    ("Parameters.SubnetIds.AllowedPattern", REMOVED, "SubnetIds takes anything"),
    ("Parameters.LogLevel.AllowedValues", REMOVED, "LogLevel takes anything"),
    ("Parameters.CleanupMemory.MaxValue", REMOVED, "CleanupMemory takes anything"),
    ("Outputs.CleanupFunctionName.Description", REMOVED, "CleanupFunctionName is not explained"),
    ("Outputs.CleanupFunctionName", REMOVED, "nothing tells the name of CleanupFunction"),
    ("Outputs.RestoreLogGroupName", REMOVED, "nothing tells the name of RestoreLogGroup"),
    ("Outputs.ExpireJobsFunctionName", REMOVED, "nothing tells the name of ExpireJobsFunction"),
    ("Outputs.FailedRunsQueueUrl", REMOVED, "nothing tells the name of FailedRunsQueue"),
)  # fmt: skip


@pytest.mark.parametrize(("where", "what", "sentence"), BREAKS)
def test_a_rule_bites(transform: SamTransform, template: Template, where: str, what: Any, sentence: str) -> None:
    alter(template, where, what)
    assert any(sentence in problem for problem in rules.problems(deploy(transform, template, **EVERYTHING)))
