"""An S3 on loopback for the demo, the tests and the benchmark: moto's server in a process of its own.

Its own process, so that its CPU and memory are not counted as ours, and so that a run that is killed does not
take the store with it. Everything lives in that process's memory and is gone with it. moto accepts a wrong
SHA-256 and never runs out of patience; `tests/support/s3_proxy.py` stands in front of it where that matters.

Run by path, this file is the server's program: `python local/s3.py <fd of a listening socket>`.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sys
import tempfile
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BACKLOG = 128
THREADS = 8
PIECE = 1 << 18
WHOLE = 1 << 30


class EmbeddedS3:
    """An S3 server on 127.0.0.1, for as long as the context lasts; it cannot outlive this process."""

    _client: S3Client | None = None

    def __enter__(self) -> Self:
        from local.guardian import Guarded

        self._work = Path(tempfile.mkdtemp(prefix="nightshift-s3-"))
        # Bound here and inherited there: no port to race for, and early requests wait in the backlog.
        with socket.create_server(("127.0.0.1", 0), backlog=BACKLOG) as listener:
            self.endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"
            self._server = Guarded(
                [sys.executable, str(Path(__file__).resolve()), str(listener.fileno())],
                log=self._work / "server.log",
                stop_signal=signal.SIGKILL,  # it keeps nothing worth closing
                remove=[self._work],
                pass_fds=[listener.fileno()],
            )
        self._control("GET", "/moto-api/data.json")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._client is not None:
            self._client.close()
        self._server.stop()
        shutil.rmtree(self._work, ignore_errors=True)

    @property
    def pid(self) -> int:
        return self._server.pid

    @property
    def env(self) -> dict[str, str]:
        """What boto3 needs in the environment to find this server, and nothing else."""
        from local.loopback import aws_env

        return aws_env(self.endpoint)

    def client(self) -> S3Client:
        """The one client of this server, free of the environment's settings; it reads bytes as they are, unjudged."""
        if self._client is None:
            import boto3
            from botocore.config import Config

            from local.loopback import REGION

            session = boto3.Session(aws_access_key_id="testing", aws_secret_access_key="testing", region_name=REGION)
            config = Config(response_checksum_validation="when_required")
            self._client = session.client("s3", endpoint_url=self.endpoint, config=config)
        return self._client

    def create_bucket(self, name: str, versioned: bool = False) -> None:
        from local.loopback import REGION

        client = self.client()
        client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
        if versioned:
            client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})

    def keys(self, bucket: str) -> list[str]:
        """Every key in the bucket, sorted."""
        pages = self.client().get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return sorted(entry["Key"] for page in pages for entry in page.get("Contents", []))

    def objects(self, bucket: str) -> dict[str, bytes]:
        """Every object in the bucket, by key."""
        client = self.client()
        return {key: client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in self.keys(bucket)}

    def reset(self) -> None:
        """Forget every bucket and object."""
        self._control("POST", "/moto-api/reset")

    def _control(self, method: str, path: str) -> None:
        request = urllib.request.Request(self.endpoint + path, method=method)
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(request) as response:
            response.read()


def _serve(fd: int) -> None:
    """Serve moto on a listening socket until killed; connections stay open between requests, as S3's do."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from waitress.channel import HTTPChannel
    from waitress.parser import HTTPRequestParser
    from waitress.server import create_server

    class Parser(HTTPRequestParser):  # type: ignore[misc]  # it has no types
        """Does not wait for the body of a request that announces an empty one with `Expect: 100-continue`."""

        def parse_header(self, header_plus: bytes) -> None:
            super().parse_header(header_plus)
            if not self.content_length and not self.chunked:
                self.expect_continue = False

    moto = DomainDispatcherApplication(create_backend_app)

    def serve_raw(environ: dict[str, Any], start_response: Any) -> Any:
        """Hand moto the path as it arrived: without it, moto decodes a key's `%2E` twice and stores a dot."""
        environ["RAW_URI"] = environ["REQUEST_URI"]
        return moto(environ, start_response)

    HTTPChannel.parser_class = Parser
    server = create_server(
        serve_raw,
        sockets=[socket.socket(fileno=fd)],
        threads=THREADS,
        recv_bytes=PIECE,
        send_bytes=PIECE,
        # Bodies stay in memory, as everything here does.
        inbuf_overflow=WHOLE,
        outbuf_overflow=WHOLE,
        outbuf_high_watermark=WHOLE,
    )
    server.run()


if __name__ == "__main__":
    os.environ.setdefault("MOTO_S3_DEFAULT_KEY_BUFFER_SIZE", str(1 << 30))  # objects stay in memory, none on disk
    _serve(int(sys.argv[1]))
