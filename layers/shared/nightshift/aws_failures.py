"""Explains failures of AWS and of boto3: the message, and a hint if the configuration of this process is wrong.

boto3 reads AWS_DEFAULT_REGION, and never AWS_REGION (botocore's `configprovider`). Lambda sets both variables.
"""

from __future__ import annotations

import re

from botocore import exceptions as botocore
from botocore.exceptions import BotoCoreError, ClientError

from nightshift.errors import NightshiftError

MAX_WORDS = 300
_LOGIN = re.compile(r"(?<=//)[^/@\s\"']*@")
"""Pattern of a login in a URL. botocore's messages contain the whole URL."""

_ENDPOINT = (
    "nothing answers there: check AWS_ENDPOINT_URL (for all services; AWS_ENDPOINT_URL_S3 … for one) and the region; in"
    " a VPC the function needs a NAT gateway or an endpoint of the service"
)
_LOG_IN = (
    "the credentials are wrong or have expired; check AWS_PROFILE, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or log"
    " in again: aws sso login"
)
_CLIENT_HINTS: tuple[tuple[type[BotoCoreError], str], ...] = (
    (botocore.NoRegionError, "set AWS_DEFAULT_REGION (boto3 does not read AWS_REGION), or a region in the profile"),
    (botocore.InvalidRegionError, "correct AWS_DEFAULT_REGION: it is a name such as ap-northeast-2"),
    (
        botocore.NoCredentialsError,
        "give credentials: AWS_PROFILE, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or on AWS a role",
    ),
    (botocore.PartialCredentialsError, "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, both or neither"),
    (
        botocore.ProfileNotFound,
        "correct AWS_PROFILE: aws configure list-profiles shows which profiles there are",
    ),
    (botocore.TokenRetrievalError, _LOG_IN),
    (botocore.SSOError, _LOG_IN),
    (botocore.CredentialRetrievalError, _LOG_IN),
    (botocore.ConfigParseError, "mend the file that AWS_CONFIG_FILE names, else ~/.aws/config"),
    (botocore.SSLError, "check AWS_CA_BUNDLE, and whether a proxy stands in between"),
    (botocore.EndpointConnectionError, _ENDPOINT),
    (botocore.ConnectTimeoutError, _ENDPOINT),
    (botocore.ProxyConnectionError, "check HTTPS_PROXY and NO_PROXY"),
)
_LOGIN_CODES = (
    *("ExpiredToken", "ExpiredTokenException", "InvalidAccessKeyId", "InvalidSignatureException", "InvalidToken"),
    *("InvalidClientTokenId", "SignatureDoesNotMatch", "UnrecognizedClientException", "AuthFailure"),
)
_REGION_CODES = ("PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException")
_CODE_HINTS = {
    **dict.fromkeys(_LOGIN_CODES, _LOG_IN),
    "RequestTimeTooSkewed": "set this machine's clock",
    **dict.fromkeys(_REGION_CODES, "the bucket is in another region: set AWS_DEFAULT_REGION to it"),
}


def words_of(exc: Exception) -> str:
    """Returns the message of the service on one line, without a login; without an answer, the message of boto3."""
    words = str(exc.response.get("Error", {}).get("Message") or "") if isinstance(exc, ClientError) else str(exc)
    return _LOGIN.sub("", " ".join(words.split()))[:MAX_WORDS]


def with_words(about: str, exc: Exception) -> str:
    """Returns the detail of an error: its subject `about`, and the message of AWS or boto3."""
    words = words_of(exc)
    return f"{about}: {words}" if words else about


def hint_of(exc: Exception) -> str | None:
    """Returns the hint for a failure that a wrong configuration causes; None for other failures."""
    if isinstance(exc, ClientError):
        return _CODE_HINTS.get(str(exc.response.get("Error", {}).get("Code")))
    return next((hint for kind, hint in _CLIENT_HINTS if isinstance(exc, kind)), None)


def unusable_client(service: str, exc: Exception) -> NightshiftError:
    """Returns the error for a client that boto3 cannot build, or for an answer of AWS that no other code explains."""
    code = exc.response.get("Error", {}).get("Code") if isinstance(exc, ClientError) else type(exc).__name__
    return NightshiftError(f"{service} cannot be used: {code}", detail=words_of(exc) or None, hint=hint_of(exc))
