"""Every call that a run makes to AWS, taken off the wire and put into IAM's words.

A proxy stands in front of each server that plays AWS. A request that it does not know by name becomes a call that no
role can allow. What a service would ask IAM on the caller's behalf follows from the answers: KMS where an object or a
secret is encrypted with a key. S3 says 403 of a missing object, as it does where not all of a bucket may be listed.

Sources: S3 user guide, "Required permissions for Amazon S3 API operations"; Bedrock user guide, "Prerequisites for
inference profiles"; CloudWatch Logs user guide, "Resources and operations"; Service Authorization Reference.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from math import ceil
from urllib.parse import parse_qs, parse_qsl, urlsplit
from xml.etree import ElementTree

from local.titan import MODEL
from tests.support import s3_faults as faults
from tests.support.s3_faults import Forward, Request, Response
from tests.support.s3_proxy import S3Proxy
from tests.template.cloudformation import PSEUDO
from tests.template.iam import Call, Context

REGION, ACCOUNT = PSEUDO["AWS::Region"], PSEUDO["AWS::AccountId"]
ASKING_FOR_MORE = (
    "x-amz-copy-source",
    "x-amz-acl",
    "x-amz-grant",
    "x-amz-tagging",
    "x-amz-object-lock",
    "x-amz-bypass",
)
"""Headers that need permissions of their own."""
_INVOKE = re.compile(r"model/(.+)/invoke")
ENCRYPTION = (
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-aws-kms-key-id",
    "x-amz-server-side-encryption-customer-algorithm",
)
"""Headers that are condition keys as well."""


class Recorder(S3Proxy):
    """The proxy, for as long as the context lasts.

    Attributes:
        keys: secrets that are encrypted with a KMS key, and the key.
    """

    def __init__(self, upstream: str, keys: Mapping[str, str]) -> None:
        super().__init__(upstream)
        self._calls: set[Call] = set()
        self.keys = keys

    def respond(self, request: Request, forward: Forward) -> Response:
        if not _is_read(request):
            return faults.answer(400, "MalformedXML")(request, forward)
        self._keep(self._asked(request))
        response = super().respond(request, forward)
        if "x-amz-target" not in _headers(request):
            self._keep(_consequences(request, response))
            response = _as_s3_has_it(request, response, forward)
        return response

    def take(self) -> set[Call]:
        """What was asked of AWS since the last time, each once."""
        with self._lock:
            taken, self._calls = self._calls, set()
        return taken

    def _keep(self, calls: Iterable[Call]) -> None:
        with self._lock:
            self._calls.update(calls)

    def _asked(self, request: Request) -> Iterator[Call]:
        target = _headers(request).get("x-amz-target")
        if target is None:
            model = _INVOKE.fullmatch(request.target) if request.method == "POST" else None
            yield from _s3(request) if model is None else invocation(model[1])
            return
        body = json.loads(request.body)
        match target:
            case "secretsmanager.GetSecretValue":
                yield Call("secretsmanager:GetSecretValue", body["SecretId"])
                if body["SecretId"] in self.keys:
                    yield _kms("Decrypt", self.keys[body["SecretId"]], "secretsmanager")
            case "AmazonSSM.GetParameter":
                yield Call("ssm:GetParameter", f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter{body['Name']}")
            case "AWSEvents.PutEvents":
                for entry in body["Entries"]:
                    yield Call("events:PutEvents", bus_arn(entry["EventBusName"]))
            case "Logs_20140328.FilterLogEvents" | "Logs_20140328.PutRetentionPolicy":
                yield _logs(target, body["logGroupName"])
            case "Logs_20140328.DescribeLogGroups":
                yield _logs(target)
            case _:
                yield Call("unknown", target)


def bus_arn(name: str) -> str:
    """The ARN of a bus of this account."""
    return f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/{name}"


def invocation(model: str) -> Iterator[Call]:
    """What Bedrock asks IAM about when a model is invoked; an inference profile's own models are asked about, too."""
    foundation = f"arn:aws:bedrock:{REGION}::foundation-model/{MODEL}"
    if not model.startswith("arn:"):
        yield Call("bedrock:InvokeModel", foundation.replace(MODEL, model))
        return
    yield Call("bedrock:InvokeModel", model)
    if "inference-profile/" in model:
        yield Call("bedrock:InvokeModel", foundation, frozenset({("bedrock:InferenceProfileArn", model)}))


def _logs(target: str, group: str = "") -> Call:
    """What CloudWatch Logs asks IAM about: a group's streams; for a listing, whatever its prefix, those of no group."""
    arn = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{group}:log-stream:"
    return Call(f"logs:{target.partition('.')[2]}", arn, frozenset({("aws:RequestedRegion", REGION)}))


def login(token: str, resource_id: str) -> Call:
    """What RDS asks IAM about when it is shown an IAM token; the token names everything but the database's id."""
    query = parse_qs(urlsplit(f"//{token}").query)
    assert query["Action"] == ["connect"], query
    assert query["X-Amz-Credential"][0].split("/")[2:4] == [REGION, "rds-db"], query
    return Call("rds-db:connect", f"arn:aws:rds-db:{REGION}:{ACCOUNT}:dbuser:{resource_id}/{query['DBUser'][0]}")


def _is_read(request: Request) -> bool:
    """Whether S3 can read the request's XML; it refuses what it cannot before it asks anybody, which moto does not."""
    if not request.target.endswith("?delete"):
        return True
    try:
        ElementTree.fromstring(request.body)
    except ElementTree.ParseError:
        return False
    return True


def _s3(request: Request) -> Iterator[Call]:
    bucket, key, query = _place(request)
    odd = [name for name in _headers(request) if name.startswith(ASKING_FOR_MORE)]
    arn = f"arn:aws:s3:::{bucket}"
    version = "Version" if "versionId" in query else ""
    match request.method, bool(key), sorted(query.keys() - {"versionId"}) + odd:
        case "PUT", True, []:
            named = {name: value for name, value in _headers(request).items() if name in ENCRYPTION}
            yield Call("s3:PutObject", f"{arn}/{key}", frozenset((f"s3:{name}", named[name]) for name in named))
        case "PUT", True, ["retention"]:
            yield Call("s3:PutObjectRetention", f"{arn}/{key}", _lock(request))
        case "GET" | "HEAD", True, []:
            # A version that is named needs GetObjectVersion, and GetObject no more.
            yield Call(f"s3:GetObject{version}", f"{arn}/{key}")
        case "DELETE", True, []:
            yield Call(f"s3:DeleteObject{version}", f"{arn}/{key}")
        case "GET", False, parameters if "versions" in parameters:
            yield Call("s3:ListBucketVersions", arn, frozenset({("s3:prefix", query.get("prefix", ""))}))
        case "GET", False, parameters if "list-type" in parameters:
            yield Call("s3:ListBucket", arn, frozenset({("s3:prefix", query.get("prefix", ""))}))
        case "POST", False, ["delete"]:
            for entry in ElementTree.fromstring(request.body).iterfind("{*}Object"):
                versioned = "Version" if entry.find("{*}VersionId") is not None else ""
                yield Call(f"s3:DeleteObject{versioned}", f"{arn}/{entry.findtext('{*}Key')}")
        case _:
            yield Call("unknown", f"{request.method} {request.target} {odd or ''}")


def _consequences(request: Request, response: Response) -> Iterator[Call]:
    headers = {name.lower(): value for name, value in response.headers}
    if headers.get("x-amz-server-side-encryption") == "aws:kms" and response.status < 300:
        kms_key = headers["x-amz-server-side-encryption-aws-kms-key-id"]
        yield _kms("GenerateDataKey" if request.method == "PUT" else "Decrypt", kms_key, "s3")


def _as_s3_has_it(request: Request, response: Response, forward: Forward) -> Response:
    """What S3 says of a missing object to a role that may list keys below a prefix alone: no role may list all."""
    _, key, _ = _place(request)
    if key and response.status == 404 and request.method in ("GET", "HEAD"):
        return faults.access_denied()(request, forward)
    return response


def _lock(request: Request) -> Context:
    """The condition keys of a retention: its mode, and the days that are left of it by now, begun ones counted."""
    body = ElementTree.fromstring(request.body)
    until = datetime.fromisoformat(body.findtext("{*}RetainUntilDate") or "")
    days = ceil((until - datetime.now(UTC)) / timedelta(days=1))
    mode = body.findtext("{*}Mode") or ""
    return frozenset({("s3:object-lock-mode", mode), ("s3:object-lock-remaining-retention-days", str(days))})


def _kms(action: str, key: str, service: str) -> Call:
    return Call(f"kms:{action}", key, frozenset({("kms:ViaService", f"{service}.{REGION}.amazonaws.com")}))


def _place(request: Request) -> tuple[str, str, dict[str, str]]:
    """Bucket, key and query of a request to S3."""
    path, _, query = request.target.partition("?")
    bucket, _, key = path.partition("/")
    return bucket, key, dict(parse_qsl(query, keep_blank_values=True))


def _headers(request: Request) -> dict[str, str]:
    return {name.lower(): value for name, value in request.headers}
