"""Reads secrets from the environment, Secrets Manager, or SSM Parameter Store.

Each run reads the secrets anew, so that the next run after a rotation uses the new password. The cache of Powertools is
not used: for minutes, retries in the same process would fail with the old password. The module imports the libraries of
AWS only to read a secret.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from pydantic import SecretStr

from nightshift.errors import SecretUnavailable
from nightshift.settings import Settings


def database_url(settings: Settings) -> SecretStr:
    """Returns the URL of the deployment's database; see `_url`."""
    return _url("DATABASE_SECRET_ARN", settings.database_secret_arn) or settings.database_url


def restore_database_url(settings: Settings) -> SecretStr | None:
    """Returns the URL of the database that `restore_backup` restores to; see `_url`."""
    return _url("RESTORE_DATABASE_SECRET_ARN", settings.restore_database_secret_arn) or settings.restore_database_url


def rehearse_database_url(settings: Settings) -> SecretStr | None:
    """Returns the URL of the database that rehearsals restore to; see `_url`."""
    return _url("REHEARSE_DATABASE_SECRET_ARN", settings.rehearse_database_secret_arn) or settings.rehearse_database_url


def _url(variable: str, arn: str | None) -> SecretStr | None:
    """Returns a database's URL from a secret; None if no secret is set.

    The secret contains the URL, or the JSON that RDS writes (`username`, `password`, `host`, `port`, `dbname`). The
    JSON may also have `sslmode` and `sslrootcert`.
    """
    if not arn:
        return None
    value = _read(arn, variable)
    return SecretStr(value if isinstance(value, str) else _url_from_rds(value, arn))


def slack_token(settings: Settings) -> SecretStr | None:
    """Returns Slack's bot token: the secret in SLACK_SECRET_ARN (plain text, or JSON with `token`), or SLACK_BOT_TOKEN.

    Raises:
        SecretUnavailable: the secret cannot be read, or has another form.
    """
    arn = settings.slack_secret_arn
    if not arn:
        return settings.slack_bot_token
    value = _read(arn, "SLACK_SECRET_ARN")
    if isinstance(value, str):
        return SecretStr(value)
    token = value.get("token") or value.get("SLACK_BOT_TOKEN")
    if not token:
        raise _unusable(arn, "it is JSON without a key `token`")
    return SecretStr(str(token))


def read_parameter(name: str) -> str:
    """Returns the text of an SSM parameter.

    Raises:
        SecretUnavailable: the parameter cannot be read.
    """
    return _asked("SSM", name, name)


def _read(arn: str, variable: str) -> str | dict[str, Any]:
    """Returns the text of a secret, or the object of its JSON. `variable` has the ARN, and is for errors."""
    if ":ssm:" in arn or arn.startswith("ssm:"):
        raw = read_parameter(arn.removeprefix("ssm:"))
    else:
        raw = _asked("Secrets Manager", arn, f"{variable}: {arn}")
    if not raw.lstrip().startswith("{"):
        return raw.strip()
    try:
        values: dict[str, Any] = json.loads(raw)
    except ValueError:
        raise _unusable(arn, "it is neither a plain value nor JSON") from None
    return values


def _asked(service: str, name: str, about: str) -> str:
    """Returns a value from Secrets Manager or SSM, without a cache. Fails after seconds without an answer."""
    from aws_lambda_powertools.utilities import parameters
    from botocore.config import Config

    # The default client of Powertools makes five tries of a minute each.
    config = Config(connect_timeout=3, read_timeout=5, retries={"total_max_attempts": 2}, user_agent_extra="nightshift")
    try:
        if service == "SSM":
            return str(parameters.SSMProvider(boto_config=config).get(name, decrypt=True, force_fetch=True))
        return str(parameters.SecretsProvider(boto_config=config).get(name, force_fetch=True))
    except Exception as exc:
        # Powertools wraps boto3's exception, which is then only in `__context__`.
        cause = exc.__cause__ or exc.__context__
        failure = _unreadable(service, about, cause if isinstance(cause, Exception) else exc)
    raise failure


def _unreadable(service: str, about: str, exc: Exception) -> SecretUnavailable:
    """Returns the error for a value that cannot be read. The hint depends on the cause: missing, denied, no answer."""
    from botocore import exceptions as botocore

    from nightshift.aws_failures import hint_of, with_words

    code = (
        exc.response.get("Error", {}).get("Code", "") if isinstance(exc, botocore.ClientError) else type(exc).__name__
    )
    detail = with_words(f"{about}: {code}", exc)
    action = "ssm:GetParameter" if service == "SSM" else "secretsmanager:GetSecretValue"
    if code in ("ResourceNotFoundException", "ParameterNotFound"):
        hint = "correct the name or ARN, or create it; the region and the account that are asked are part of it"
        return SecretUnavailable(f"{service} has no such value", detail=detail, hint=hint)
    if code in ("AccessDeniedException", "AccessDenied"):
        hint = f"the role needs {action} on it, and kms:Decrypt on a key of its own"
        return SecretUnavailable(f"{service} refused to hand out a value", detail=detail, hint=hint)
    if isinstance(exc, botocore.ConnectionError | botocore.HTTPClientError):
        hint = (
            "in a VPC the function needs a NAT gateway or an endpoint of the service; check AWS_ENDPOINT_URL and region"
        )
        return SecretUnavailable(f"{service} did not answer", detail=detail, hint=hint)
    key = "the role needs kms:Decrypt on the value's KMS key, and the key has to be enabled"
    remedy = key if code in _ABOUT_ITS_KEY else hint_of(exc)
    return SecretUnavailable(f"a value could not be read from {service}", detail=detail, hint=remedy)


_ABOUT_ITS_KEY = ("DecryptionFailure", "EncryptionFailure", "InvalidKeyId", "KMSInvalidStateException")


def _url_from_rds(values: dict[str, Any], arn: str) -> str:
    if values.get("url"):
        return str(values["url"])
    missing = [name for name in ("username", "password", "host") if not values.get(name)]
    if missing:
        raise _unusable(arn, f"its JSON lacks {', '.join(missing)}")
    login = f"{quote(str(values['username']), safe='')}:{quote(str(values['password']), safe='')}"
    database = values.get("dbname") or values.get("database") or values["username"]
    extra = "&".join(
        f"{name}={quote(str(values[name]), safe='')}" for name in ("sslmode", "sslrootcert") if name in values
    )
    url = f"postgresql://{login}@{values['host']}:{values.get('port', 5432)}/{quote(str(database), safe='')}"
    return f"{url}?{extra}" if extra else url


def _unusable(arn: str, problem: str) -> SecretUnavailable:
    return SecretUnavailable(
        "a secret is not usable",
        detail=f"{arn}: {problem}",
        hint="store a plain value, or for a database the JSON that RDS writes (username, password, host, port, dbname)",
    )


def rds_token(host: str, port: int, user: str) -> str:
    """Returns a password for RDS IAM authentication, valid for 15 minutes. The signature needs no call to AWS.

    Raises:
        SecretUnavailable: there are no credentials for the signature.
    """
    import boto3
    from botocore.exceptions import BotoCoreError

    from nightshift.aws_failures import hint_of, with_words

    try:
        token: str = boto3.client("rds").generate_db_auth_token(DBHostname=host, Port=port, DBUsername=user)
    except BotoCoreError as exc:
        raise SecretUnavailable(
            "no RDS IAM token could be made",
            detail=with_words(f"{user}@{host}:{port}", exc),
            hint=hint_of(exc) or "the function's role needs rds-db:connect",
        ) from None
    return token
