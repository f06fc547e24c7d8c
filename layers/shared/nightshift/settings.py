"""Settings: the environment, read once, checked as a whole.

`Settings.from_env()` either returns a frozen model or raises one `InvalidSettings` that lists every bad
variable with what it should be. Secrets are `SecretStr`: they show as `**********` in repr, logs and errors.
Nothing here talks to AWS; `secrets.py` resolves the ARNs.
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
"""Function memory that one archive worker is given by default; 2 workers peak near 380 MB (see benchmarks/)."""

MAX_WORKERS = 8


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError("should be an IANA time zone, e.g. Asia/Seoul") from None
    return name


def _switch(value: object) -> object:
    """Accept the spellings that people use in environment variables."""
    words = {"on": True, "true": True, "1": True, "yes": True, "off": False, "false": False, "0": False, "no": False}
    if isinstance(value, str):
        if value.strip().lower() not in words:
            raise ValueError("should be on or off")
        return words[value.strip().lower()]
    return value


def _words(value: object) -> object:
    """Take a list as people write it into one variable."""
    if isinstance(value, str):
        return tuple(dict.fromkeys(word.strip() for word in value.split(",") if word.strip()))
    return value


Words = Annotated[tuple[str, ...], BeforeValidator(_words), Field(min_length=1, max_length=50)]
TimeZone = Annotated[str, AfterValidator(_zone)]
EpochUnit = Literal["s", "ms", "us", "ns"]
"""Of a column of numbers that tell a time since 1970."""

Switch = Annotated[bool, BeforeValidator(_switch)]
SchemaName = Annotated[str, StringConstraints(pattern=r"^[a-z_][a-z0-9_]{0,62}$")]
ReplicaHost = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?(:[0-9]{1,5})?$")
]
BucketName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]
_ALIASES = ("-s3alias", "--ol-s3")
"""Ends of what is the alias of an access point: no bucket may be called so (S3 user guide, "Bucket naming rules")."""


def is_alias(bucket: str) -> bool:
    """Whether a name is that of an access point, which leads to a bucket of another name."""
    return bucket.endswith(_ALIASES)


HttpUrl = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/?#]+")]
"""Pydantic's own URL type takes a twentieth of a cold start to import."""
Prefix = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9!_.*'()/=-]*$", max_length=512)]


class Settings(BaseModel):
    """Every setting, under the name of its environment variable in lower case."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    # Database
    database_url: SecretStr = SecretStr("sqlite:///./local.db")
    database_secret_arn: str | None = None
    database_iam_auth: Switch = False
    """Log in with a token from RDS IAM in place of a password."""
    database_connect_timeout: int = Field(10, ge=1, le=120)
    """Seconds."""

    nightshift_schema: SchemaName | None = None
    """PostgreSQL: a schema for nightshift's own tables, made and filled by the first run; None: where they are."""

    history_keep_days: int = Field(400, ge=31, le=36_500)
    """Runs that began earlier leave the history, see `history.prune`."""

    # Archive
    archive_bucket: BucketName | None = None
    archive_prefix: Prefix = "archive"
    archive_kms_key: str | None = None
    """SSE-KMS key for the objects; without it the bucket's own default encryption applies."""
    archive_proof: Literal["full", "head"] = "full"
    """`full` reads every object back and compares each byte; `head` trusts S3's checksum, size and the footer."""

    # Cleanup
    log_retention_days: int = Field(30, ge=1, le=36_500)
    nightshift_config: str | None = None
    """Policy file: a path, `s3://bucket/key`, or `ssm:/name`."""
    cleanup_workers: int | None = Field(None, ge=1, le=MAX_WORKERS)
    """Connections that move rows at once; default from the function's memory."""
    cleanup_chunk_mb: int = Field(32, ge=1, le=512)
    """Uncompressed size that one chunk aims at."""
    cleanup_max_share: float | None = Field(None, gt=0, le=1)
    """Share of a table above which a run is refused without `force`; unset: see `archive.guards.USUAL_SHARE`."""
    cleanup_lock_timeout: float = Field(5.0, gt=0, le=300)
    """Seconds a chunk waits for rows that somebody else has locked."""
    cleanup_vacuum: Switch = True

    # Expiry
    expire_batch: int = Field(10_000, ge=1, le=100_000)
    """Expired rows that one transaction takes, with all that hangs on them, at the most."""
    expire_lock_timeout: float = Field(0.8, gt=0, le=300)
    """Seconds that a transaction waits for rows that somebody else has locked. Less than PostgreSQL waits before it
    looks for a deadlock (1 s): else it might be the application that it ends."""
    expire_files_bucket: BucketName | None = None
    """Bucket of the files, where the policy names none."""
    expire_file_versions: Switch = False
    """Delete all versions of a file, not only the one that readers see."""
    expire_quiet: Switch = True
    """Tell Slack nothing of a run that had nothing to do."""

    # Backup
    backup_bucket: BucketName | None = None
    """Where backups lie; ARCHIVE_BUCKET where it is not set."""
    backup_prefix: Prefix = "backup"
    backup_kms_key: str | None = None
    backup_schemas: Words | None = None
    """Schemas to save; None: all that are not the server's own."""
    backup_replica_host: ReplicaHost | None = None
    """A standby of DATABASE_URL's server that rows are read from: `host` or `host:port`."""
    backup_exclude_rows: Words | None = None
    """Tables of which the definition alone is saved, like `public.events`."""
    backup_workers: int = Field(2, ge=1, le=MAX_WORKERS)
    """Connections that move rows at once."""
    backup_keep_daily: int = Field(7, ge=1, le=3650)
    backup_keep_weekly: int = Field(4, ge=0, le=520)
    backup_keep_monthly: int = Field(12, ge=0, le=120)
    backup_log_groups: Words | None = None
    """CloudWatch log groups whose events of the day before are saved."""
    backup_log_directory: str | None = None
    """A directory of log files, on a host of one's own."""
    backup_log_retention_days: int | None = Field(None, ge=1, le=3653)
    """Retention that the log groups are given; None: theirs is left as it is."""
    backup_object_lock_days: int | None = Field(None, ge=1, le=36_500)
    """Days for which S3 Object Lock keeps a backup (GOVERNANCE mode)."""
    backup_pg_client: str | None = None
    """Directory with pg_dump, pg_restore and psql; None: the layer's, else those on PATH."""
    rehearse_database_url: SecretStr | None = None
    """Where rehearsals restore to: a server, and a role that may create databases; None: DATABASE_URL's own."""
    rehearse_database_secret_arn: str | None = None
    """The secret that holds it, in its place."""
    rehearse_with_own_rights: Switch = False
    """Let code in a backup run with the rights of the role that rehearses, even on DATABASE_URL's own server."""
    restore_database_url: SecretStr | None = None
    """The empty database that `restore_backup` fills; never DATABASE_URL by itself."""
    restore_database_secret_arn: str | None = None
    """The secret that holds it, in its place."""

    # Feedback
    feedback_table: str = Field("conversation_log", min_length=1, max_length=255)
    """Where users' votes are: `schema.table`; quote odd names as in SQL."""
    feedback_rating: str = Field("feedback", min_length=1, max_length=255)
    """Column with the vote; its values are compared in its own type."""
    feedback_likes: Words = ("like",)
    feedback_dislikes: Words = ("dislike",)
    """Values that are a like and a dislike, with commas between them."""
    feedback_neutral: Words | None = None
    """Values that are neither, and mean it. Others are named in the report, and many of them decide nothing."""
    feedback_key: str | None = Field(None, max_length=255)
    """Column that names the answer: of several votes on one within a day, the last counts."""
    feedback_time: str = Field("created_at", min_length=1, max_length=255)
    """Column with the time of the vote; one without a zone shows the clocks of TIMEZONE."""
    feedback_epoch: EpochUnit | None = None
    """Unit of an integer FEEDBACK_TIME."""
    feedback_group: str | None = Field(None, max_length=255)
    """Column with the topic or the model of an answer."""
    feedback_comment: str | None = Field(None, max_length=255)
    """Column with what users wrote beside their vote; counted, never shown."""
    feedback_document: str | None = Field(None, max_length=255)
    """Column that names the document behind an answer, by its id; `reembed` looks at those that were disliked."""
    feedback_threshold: float = Field(0.3, gt=0, lt=1)
    """Negative ratio above which something is wrong."""
    feedback_min_votes: int = Field(30, ge=1, le=1_000_000)
    """Fewer votes than these decide nothing; nor does a topic or model with fewer count among the worst."""
    feedback_confidence: float = Field(0.95, ge=0.5, lt=1)
    """Confidence of the interval that must lie above the threshold."""
    feedback_cooldown_hours: int = Field(72, ge=0, le=8760)
    """Re-embedding is not started again within these hours."""
    feedback_dashboard_url: HttpUrl | None = None
    feedback_chart: Switch = True
    """Attach a chart of the last 30 days."""
    event_bus: str = Field("default", pattern=r"^[A-Za-z0-9._/:-]{1,256}$")
    """EventBridge bus that hears of a threshold exceeded."""

    # Re-embedding
    embedder: Literal["bedrock", "local"] = "bedrock"
    """`local` needs no network and no model: words hashed into a vector, for trying things out."""
    embedding_model: str = Field("amazon.titan-embed-text-v2:0", min_length=1, max_length=256)
    embedding_dimension: int = Field(1024, ge=1, le=16_000)
    embedding_batch: int = Field(64, ge=1, le=10_000)
    """Documents of one transaction."""
    embedding_workers: int = Field(4, ge=1, le=64)
    """Requests to the model at once."""

    # Slack
    slack_bot_token: SecretStr | None = None
    slack_secret_arn: str | None = None
    slack_channel: str | None = None
    slack_api_url: HttpUrl | None = None
    slack_attach_csv: Switch = True
    slack_csv_rows: int = Field(1000, ge=1, le=50_000)
    report_language: Literal["ko", "en"] = "ko"

    # General
    timezone: TimeZone = "Asia/Seoul"
    aws_lambda_function_memory_size: int | None = Field(None, ge=128)
    """Set by Lambda, MB."""

    @property
    def workers(self) -> int:
        """Connections that move rows at once."""
        if self.cleanup_workers is not None:
            return self.cleanup_workers
        if self.aws_lambda_function_memory_size is None:
            return 2
        return max(1, min(MAX_WORKERS, self.aws_lambda_function_memory_size // MEMORY_PER_WORKER_MB))

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Read the settings.

        Args:
            environ: the environment; an empty value counts as unset, as SAM parameters cannot be absent.

        Raises:
            InvalidSettings: lists every variable that is wrong, and never its value.
        """
        given = {name: environ[name.upper()] for name in cls.model_fields if environ.get(name.upper(), "").strip()}
        try:
            return cls.model_validate(given)
        except ValidationError as exc:
            raise InvalidSettings(
                "settings are not usable",
                detail="\n".join(_problem(error) for error in exc.errors(include_url=False, include_input=False)),
                hint="README lists every setting; nothing was read or written",
            ) from None


def _problem(error: Mapping[str, Any]) -> str:
    name = str(error["loc"][0]).upper() if error["loc"] else "settings"
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"{name}: {message}"
