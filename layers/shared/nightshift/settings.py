"""Reads and validates the settings from environment variables.

`Settings.from_env()` returns a frozen model, or raises one `InvalidSettings` that lists every invalid variable with the
expected value. Secrets are `SecretStr`, and appear as `**********` in repr, logs and errors. The module does not call
AWS. `secrets.py` reads the secrets that ARNs refer to.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    ValidationError,
)

from nightshift.errors import InvalidSettings

MEMORY_PER_WORKER_MB = 384
"""Default memory of the function per archive worker, in MB. Two workers peak near 380 MB (see benchmarks/)."""

MAX_WORKERS = 8


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError("should be an IANA time zone, e.g. Asia/Seoul") from None
    return name


def _switch(value: object) -> object:
    """Converts the usual spellings of a switch in environment variables, e.g. `on` or `no`, to a boolean."""
    words = {"on": True, "true": True, "1": True, "yes": True, "off": False, "false": False, "0": False, "no": False}
    if isinstance(value, str):
        if value.strip().lower() not in words:
            raise ValueError("should be on or off")
        return words[value.strip().lower()]
    return value


def _words(value: object) -> object:
    """Converts a comma-separated text to a tuple without blanks, empty items and duplicates."""
    if isinstance(value, str):
        return tuple(dict.fromkeys(word.strip() for word in value.split(",") if word.strip()))
    return value


CommaSeparatedList = Annotated[tuple[str, ...], BeforeValidator(_words), Field(min_length=1, max_length=50)]
TimeZone = Annotated[str, AfterValidator(_zone)]
EpochUnit = Literal["s", "ms", "us", "ns"]
"""Unit of a numeric column with times since 1970."""

Switch = Annotated[bool, BeforeValidator(_switch)]
SchemaName = Annotated[str, StringConstraints(pattern=r"^[a-z_][a-z0-9_]{0,62}$")]
ReplicaHost = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?(:[0-9]{1,5})?$")
]
BucketName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]
_ALIASES = ("-s3alias", "--ol-s3")
"""Endings of access point aliases. Names of buckets cannot end so (S3 user guide, "Bucket naming rules")."""


def is_alias(bucket: str) -> bool:
    """Returns whether a name is the alias of an access point. An alias refers to a bucket with another name."""
    return bucket.endswith(_ALIASES)


HttpUrl = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/?#]+")]
"""URL of HTTP or HTTPS. A pattern replaces pydantic's URL type, whose import takes 5 % of a cold start."""
Prefix = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9!_.*'()/=-]*$", max_length=512)]


class Settings(BaseModel):
    """All settings. The name of a field is the name of the environment variable in lower case."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    # Database
    database_url: SecretStr = SecretStr("sqlite:///./local.db")
    """`postgresql://user:password@host:5432/name?sslmode=verify-full&sslrootcert=ca.pem`, or `sqlite:///path`."""
    database_secret_arn: str | None = None
    """Secrets Manager secret with the URL. It takes precedence over `DATABASE_URL`."""
    database_iam_auth: Switch = False
    """Logs in with an RDS IAM token instead of a password."""
    database_connect_timeout: int = Field(10, ge=1, le=120)
    """Seconds to wait for a connection."""

    nightshift_schema: SchemaName | None = None
    """PostgreSQL schema of nightshift's own tables. The first run creates it and moves the tables there. Unset: the
    first schema of the role's search path."""

    history_keep_days: int = Field(400, ge=31, le=36_500)
    """Days for which `nightshift_run` keeps a run. The rows that other decisions need stay longer."""

    # Archive
    archive_bucket: BucketName | None = None
    """Bucket of the archive. Every run that writes or reads the archive needs it."""
    archive_prefix: Prefix = "archive"
    """First part of every key of the archive."""
    archive_kms_key: str | None = None
    """KMS key that encrypts the objects (SSE-KMS). Unset: the bucket's default encryption applies."""
    archive_proof: Literal["full", "head"] = "full"
    """`full` reads every object back and compares each byte. `head` trusts S3's size and SHA-256, and reads the Parquet
    footer."""

    # Cleanup
    log_retention_days: int = Field(30, ge=1, le=36_500)
    """Retention in days of `conversation_log` without a policy file, and of `[[retention]]` entries without
    `keep_days`."""
    nightshift_config: str | None = None
    """Policy file: a path, `s3://bucket/key`, or `ssm:/name`."""
    cleanup_workers: int | None = Field(None, ge=1, le=MAX_WORKERS)
    """Connections that move rows concurrently. Unset: one for each 384 MB of the function's memory; 2 outside
    Lambda."""
    cleanup_chunk_mb: int = Field(32, ge=1, le=512)
    """Target size in MB of one transaction's rows, uncompressed."""
    cleanup_max_share: float | None = Field(None, gt=0, le=1)
    """Share of a table above which a run is refused without `force`. Unset: half of the table, from 100,000 due rows,
    once a run has worked off its backlog."""
    cleanup_lock_timeout: float = Field(5.0, gt=0, le=300)
    """Seconds that a chunk waits for rows that another session has locked."""
    cleanup_vacuum: Switch = True
    """Runs `VACUUM (ANALYZE)` after 50,000 deletions, or after a tenth of the table."""

    # Expiry
    expire_batch: int = Field(10_000, ge=1, le=100_000)
    """Maximum of expired rows that one transaction deletes, with their dependent rows."""
    expire_lock_timeout: float = Field(0.8, gt=0, le=300)
    """Seconds that a transaction waits for rows that another session has locked. Keep it below PostgreSQL's
    `deadlock_timeout` (1 s): above it, the server may end the application's transaction."""
    expire_files_bucket: BucketName | None = None
    """Bucket of the files, if the policy names none."""
    expire_file_versions: Switch = False
    """Deletes all versions of a file. `off`: in a versioned bucket, lifecycle rules delete the old versions."""
    expire_quiet: Switch = True
    """Sends no Slack message for a run that had nothing to do."""

    # Backup
    backup_bucket: BucketName | None = None
    """Bucket of the backups. Unset: `ARCHIVE_BUCKET`."""
    backup_prefix: Prefix = "backup"
    """First part of every key of the backups. Each database needs its own."""
    backup_kms_key: str | None = None
    """KMS key that encrypts the backups (SSE-KMS). Unset: the bucket's default encryption applies."""
    backup_schemas: CommaSeparatedList | None = None
    """Schemas to save. Unset: all but the server's own."""
    backup_replica_host: ReplicaHost | None = None
    """Standby of `DATABASE_URL`'s server that rows are read from: `host` or `host:port`."""
    backup_exclude_rows: CommaSeparatedList | None = None
    """Tables of which only the definition is saved, e.g. `public.events`."""
    backup_workers: int = Field(2, ge=1, le=MAX_WORKERS)
    """Connections that read or write rows concurrently, in backups and their restores."""
    backup_keep_daily: int = Field(7, ge=1, le=3650)
    """Days, of those with a backup, whose newest backup is kept."""
    backup_keep_weekly: int = Field(4, ge=0, le=520)
    """Weeks, of those with a backup, whose newest backup is kept."""
    backup_keep_monthly: int = Field(12, ge=0, le=120)
    """Months, of those with a backup, whose newest backup is kept."""
    backup_log_groups: CommaSeparatedList | None = None
    """CloudWatch log groups whose events of the day before are saved."""
    backup_log_directory: str | None = None
    """Directory of log files on your own host."""
    backup_log_retention_days: int | None = Field(None, ge=1, le=3653)
    """Retention that the log groups are given. Unset: their retention is left as it is."""
    backup_object_lock_days: int | None = Field(None, ge=1, le=36_500)
    """Days for which S3 Object Lock keeps a backup (GOVERNANCE mode). The bucket must be created with Object Lock."""
    backup_pg_client: str | None = None
    """Directory with `pg_dump` and `pg_restore`. Unset: those of the layer, or those on `PATH`."""
    rehearse_database_url: SecretStr | None = None
    """Server that `rehearse` restores to, with a role that may create databases. Unset: `DATABASE_URL`'s own server."""
    rehearse_database_secret_arn: str | None = None
    """Secrets Manager secret with `REHEARSE_DATABASE_URL`. It takes precedence."""
    rehearse_with_own_rights: Switch = False
    """Lets code in a backup run with the rights of the role that rehearses, even on `DATABASE_URL`'s own server."""
    restore_database_url: SecretStr | None = None
    """Empty database that `restore_backup` fills. `DATABASE_URL` never stands in for it."""
    restore_database_secret_arn: str | None = None
    """Secrets Manager secret with `RESTORE_DATABASE_URL`. It takes precedence."""

    # Feedback
    feedback_table: str = Field("conversation_log", min_length=1, max_length=255)
    """Table or view with the votes: `schema.table`. Quote names as in SQL."""
    feedback_rating: str = Field("feedback", min_length=1, max_length=255)
    """Column with the vote: text, an enum, a number or a boolean."""
    feedback_likes: CommaSeparatedList = ("like",)
    """Values of that column that are a like."""
    feedback_dislikes: CommaSeparatedList = ("dislike",)
    """Values of that column that are a dislike."""
    feedback_neutral: CommaSeparatedList | None = None
    """Values of that column that are neither. The report names all other values, and many of them decide nothing."""
    feedback_key: str | None = Field(None, max_length=255)
    """Column that identifies the answer: of several votes on one answer within a day, the last counts. Unset: every
    row is a vote."""
    feedback_time: str = Field("created_at", min_length=1, max_length=255)
    """Column with the time of the vote. Without a zone it is local time in `TIMEZONE`. Index it."""
    feedback_epoch: EpochUnit | None = None
    """Unit of a numeric `FEEDBACK_TIME`."""
    feedback_group: str | None = Field(None, max_length=255)
    """Column with the topic or the model of an answer. The report names the groups with the highest negative ratio."""
    feedback_comment: str | None = Field(None, max_length=255)
    """Column with the user's comment. Comments on dislikes are counted, and never shown."""
    feedback_document: str | None = Field(None, max_length=255)
    """Column with the id of the document behind an answer. `reembed` then takes the documents of disliked answers."""
    feedback_threshold: float = Field(0.3, gt=0, lt=1)
    """Negative ratio above which re-embedding may start."""
    feedback_min_votes: int = Field(30, ge=1, le=1_000_000)
    """Votes below which nothing is decided, and below which a group is not named."""
    feedback_confidence: float = Field(0.95, ge=0.5, lt=1)
    """Confidence of the interval that must lie above the threshold."""
    feedback_cooldown_hours: int = Field(72, ge=0, le=8760)
    """Hours within which re-embedding is not started again."""
    feedback_dashboard_url: HttpUrl | None = None
    """URL that the report links to."""
    feedback_chart: Switch = True
    """Attaches a chart of the last 30 days."""
    event_bus: str = Field("default", pattern=r"^[A-Za-z0-9._/:-]{1,256}$")
    """EventBridge bus that receives the events of `feedback` and `reembed`: a name or an ARN."""

    # Re-embedding
    embedder: Literal["bedrock", "local"] = "bedrock"
    """`bedrock` calls Amazon Bedrock. `local` hashes words into a vector with scikit-learn, for trials; it is not
    deployed."""
    embedding_model: str = Field("amazon.titan-embed-text-v2:0", min_length=1, max_length=256)
    """Titan Text Embeddings V2: its model id, or an ARN of it. Another model embeds all documents again."""
    embedding_dimension: int = Field(1024, ge=1, le=16_000)
    """Numbers in a vector: 256, 512 or 1024 for Titan. Another dimension embeds all documents again."""
    embedding_batch: int = Field(64, ge=1, le=10_000)
    """Documents of one transaction."""
    embedding_workers: int = Field(4, ge=1, le=64)
    """Concurrent requests to the model."""

    # Slack
    slack_bot_token: SecretStr | None = None
    """Bot token (`xoxb-…`) with the scopes `chat:write` and `files:write`. Without a token the message goes to the
    log."""
    slack_secret_arn: str | None = None
    """Secrets Manager secret with the token, or with JSON that has `token`. It takes precedence over
    `SLACK_BOT_TOKEN`."""
    slack_channel: str | None = None
    """ID (`C0…`) or name of a channel that the bot is a member of."""
    slack_api_url: HttpUrl | None = None
    """Another Slack API, for tests."""
    slack_attach_csv: Switch = True
    """Attaches the first archived rows of each table as CSV. `off` keeps user data out of Slack."""
    slack_csv_rows: int = Field(1000, ge=1, le=50_000)
    """Maximum of rows in that CSV; its size is limited to 4 MB."""
    report_language: Literal["ko", "en"] = "ko"
    """Language of the Slack messages."""

    # General
    timezone: TimeZone = "Asia/Seoul"
    """IANA time zone of cutoffs, of `dt=` in keys, and of the times in reports."""
    aws_lambda_function_memory_size: int | None = Field(None, ge=128)
    """Memory of the function in MB; Lambda sets it."""

    @property
    def workers(self) -> int:
        """Returns the number of connections that move rows concurrently."""
        if self.cleanup_workers is not None:
            return self.cleanup_workers
        if self.aws_lambda_function_memory_size is None:
            return 2
        return max(1, min(MAX_WORKERS, self.aws_lambda_function_memory_size // MEMORY_PER_WORKER_MB))

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Returns the settings in environment variables.

        Args:
            environ: the environment. An empty value counts as unset, because a SAM parameter cannot be absent.

        Raises:
            InvalidSettings: a variable is invalid. The error lists every invalid variable, without its value.
        """
        given = {name: environ[name.upper()] for name in cls.model_fields if environ.get(name.upper(), "").strip()}
        try:
            return cls.model_validate(given)
        except ValidationError as exc:
            raise InvalidSettings(
                "settings are not usable",
                detail="\n".join(_problem(error) for error in exc.errors(include_url=False, include_input=False)),
                hint="docs/configuration.md lists every setting; nothing was read or written",
            ) from None


def _problem(error: Mapping[str, Any]) -> str:
    name = str(error["loc"][0]).upper() if error["loc"] else "settings"
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"{name}: {message}"
