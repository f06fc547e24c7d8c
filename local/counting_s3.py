"""An S3 on loopback that deletes whatever it is told to and counts it: for measuring whoever deletes.

It speaks DeleteObjects (https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html), of every bucket that
is named: at most 1,000 keys a request, a checksum required, `Quiet` respected, each key answered for. Of every key that
is looked up by ListObjectsV2 it says that it is there. It stores nothing, so that 400,000 keys cost it seconds where
moto would need minutes; it is a process of its own, so that its CPU and memory are not counted as ours. Bodies are read
by regular expressions, for what boto3 writes, not for any XML.

Run by path, in isolated mode, this file is the server's program: `python -I local/counting_s3.py <fd of a socket>`.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
import sys
import tempfile
import threading
import urllib.request
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from html import escape, unescape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, unquote, urlsplit

BACKLOG = 128
MOST_KEYS = 1000
"""What S3 takes in one request."""

_COUNTS, _REFUSE = "/_counts", "/_refuse"
_KEY = re.compile(rb"<Key>([^<]*)</Key>")
_QUIET = re.compile(rb"<Quiet>\s*true\s*</Quiet>")
_XML = b'<?xml version="1.0" encoding="UTF-8"?>\n'
_RESULT = _XML + b'<DeleteResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">%b</DeleteResult>'
_LISTED = _XML + b"<ListBucketResult><Contents><Key>%b</Key></Contents></ListBucketResult>"
_DELETED = b"<Deleted><Key>%b</Key></Deleted>"
_DENIED = b"<Error><Key>%b</Key><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
_ERROR = _XML + b"<Error><Code>%b</Code><Message>%b</Message></Error>"


@dataclass(frozen=True, slots=True)
class Counts:
    """What one bucket was told.

    Attributes:
        requests: that were carried out.
        deleted: keys, each time that they were named; a greater number than `distinct` means work done twice.
        distinct: different keys among them.
        refused: keys that the rule of `CountingS3.refuse` kept, each time that they were named.
    """

    requests: int = 0
    deleted: int = 0
    distinct: int = 0
    refused: int = 0


class CountingS3:
    """The server on 127.0.0.1, for as long as the context lasts; it cannot outlive this process."""

    def __enter__(self) -> Self:
        from local.guardian import Guarded

        self._work = Path(tempfile.mkdtemp(prefix="nightshift-counting-s3-"))
        with socket.create_server(("127.0.0.1", 0), backlog=BACKLOG) as listener:
            self.endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"
            self._server = Guarded(
                [sys.executable, "-I", str(Path(__file__).resolve()), str(listener.fileno())],
                log=self._work / "server.log",
                stop_signal=signal.SIGKILL,
                remove=[self._work],
                pass_fds=[listener.fileno()],
            )
        self.reset()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.stop()
        shutil.rmtree(self._work, ignore_errors=True)

    @property
    def env(self) -> dict[str, str]:
        """What boto3 needs in the environment to find this server, and nothing else."""
        from local.loopback import aws_env

        return aws_env(self.endpoint)

    def counts(self) -> dict[str, Counts]:
        """By bucket, since the last reset."""
        found: dict[str, dict[str, int]] = json.loads(self._control("GET", _COUNTS))
        return {bucket: Counts(**numbers) for bucket, numbers in found.items()}

    def refuse(self, pattern: str | None) -> None:
        """Answer AccessDenied for the keys in which this regular expression is found; None: for no key."""
        self._control("POST", _REFUSE, (pattern or "").encode())

    def reset(self) -> None:
        """Forget all counts; the rule stays."""
        self._control("DELETE", _COUNTS)

    def _control(self, method: str, path: str, body: bytes | None = None) -> bytes:
        request = urllib.request.Request(self.endpoint + path, body, method=method)
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(request) as response:
            answer: bytes = response.read()
        return answer


@dataclass(slots=True)
class _Bucket:
    """`seen` holds hashes of keys: a few bytes each, and as good as the keys for counting."""

    requests: int = 0
    deleted: int = 0
    refused: int = 0
    seen: set[int] = field(default_factory=set)


class _Counter:
    """What the server knows; its methods are called by several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._buckets: defaultdict[str, _Bucket] = defaultdict(_Bucket)
        self.refused: re.Pattern[str] | None = None

    def delete(self, bucket: str, keys: list[bytes]) -> tuple[list[bytes], list[bytes]]:
        """Count; returns the keys that are gone and those that are refused, escaped as they came."""
        rule = self.refused
        gone: list[bytes] = []
        kept: list[bytes] = []
        for key in keys:
            (kept if rule and rule.search(unescape(key.decode())) else gone).append(key)
        with self._lock:
            here = self._buckets[bucket]
            here.requests += 1
            here.deleted += len(gone)
            here.refused += len(kept)
            here.seen.update(map(hash, gone))
        return gone, kept

    def counts(self) -> dict[str, dict[str, int]]:
        with self._lock:
            return {
                name: asdict(Counts(found.requests, found.deleted, len(found.seen), found.refused))
                for name, found in self._buckets.items()
            }

    def reset(self) -> None:
        with self._lock:
            self._buckets.clear()


class _Handler(BaseHTTPRequestHandler):
    counter: _Counter
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body in one segment

    def do_GET(self) -> None:
        if self.path == _COUNTS:
            self._answer(200, json.dumps(self.counter.counts()).encode(), "application/json")
        elif "list-type=2" in (query := urlsplit(self.path).query).split("&"):
            key = escape(parse_qs(query).get("prefix", [""])[0]).encode()
            self._answer(200, _LISTED % key)
        else:
            self._not_spoken()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        address = urlsplit(self.path)
        if self.path == _REFUSE:
            self.counter.refused = re.compile(body.decode()) if body else None
            self._answer(200)
        elif "delete" in address.query.split("&"):
            self._delete_objects(unquote(address.path.strip("/")), body)
        else:
            self._not_spoken()

    def do_DELETE(self) -> None:
        if self.path == _COUNTS:
            self.counter.reset()
            self._answer(200)
        else:
            self._not_spoken()

    def _delete_objects(self, bucket: str, body: bytes) -> None:
        if not any(map(_is_checksum, self.headers)):
            return self._error(400, b"InvalidRequest", b"Missing required header: Content-MD5 or x-amz-checksum-*")
        keys = _KEY.findall(body)
        if not 0 < len(keys) <= MOST_KEYS:
            return self._error(400, b"MalformedXML", b"The XML you provided was not well-formed")
        gone, kept = self.counter.delete(bucket, keys)
        said = [] if _QUIET.search(body) else [_DELETED % key for key in gone]
        return self._answer(200, _RESULT % b"".join([*said, *(_DENIED % key for key in kept)]))

    def _not_spoken(self) -> None:
        self.close_connection = True  # a body may be on its way
        self._error(501, b"NotImplemented", b"This server speaks DeleteObjects and ListObjectsV2 alone")

    do_HEAD = do_PUT = _not_spoken

    def _error(self, status: int, code: bytes, message: bytes) -> None:
        self._answer(status, _ERROR % (code, message))

    def _answer(self, status: int, body: bytes = b"", kind: str = "application/xml") -> None:
        self.send_response_only(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else body)

    def log_message(self, format: str, *args: object) -> None:
        return


def _is_checksum(header: str) -> bool:
    return header.lower() == "content-md5" or header.lower().startswith("x-amz-checksum-")


def _serve(fd: int) -> None:
    """Serve on a listening socket until killed."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler, bind_and_activate=False)
    server.socket.close()
    server.socket = socket.socket(fileno=fd)
    _Handler.counter = _Counter()
    server.serve_forever()


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
