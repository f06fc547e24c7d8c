"""A certificate authority in memory, and a PostgreSQL that speaks TLS where this machine has one."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from local.postgres import DISPOSABLE, EmbeddedPostgres, LocalServerError


@dataclass(frozen=True)
class Authority:
    """Signs certificates."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def create(cls, name: str) -> Authority:
        key = ec.generate_private_key(ec.SECP256R1())
        built = _builder(name, name, key).add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        return cls(key, built.sign(key, hashes.SHA256()))

    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def issue(self, host: str) -> tuple[bytes, bytes]:
        """Certificate and key, PEM, of a server by that name."""
        key = ec.generate_private_key(ec.SECP256R1())
        issuer = self.certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
        built = _builder(host, str(issuer), key).add_extension(
            x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False
        )
        certificate = built.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        encoding, form, none = (
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return certificate, key.private_bytes(encoding, form, none)


def _builder(subject: str, issuer: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in (subject, issuer)]
    return (
        x509.CertificateBuilder(names[1], names[0], key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
    )


@contextmanager
def tls_postgres(authority: Authority, host: str) -> Iterator[EmbeddedPostgres]:
    """A server whose certificate names `host`. Skips the test where no PostgreSQL here was built with TLS (the wheel's
    was not).
    """
    candidates = [*Path("/usr/lib/postgresql").glob("*/bin"), *Path("/usr/local/pgsql").glob("bin")]
    if "PG_BIN" in os.environ:
        candidates.insert(0, Path(os.environ["PG_BIN"]))
    directory = Path(tempfile.mkdtemp(prefix="nightshift-tls-", dir="/tmp"))
    certificate, key = authority.issue(host)
    (directory / "server.pem").write_bytes(certificate)
    (directory / "server.key").write_bytes(key)
    (directory / "server.key").chmod(0o600)
    if os.geteuid() == 0:
        for path in (directory, directory / "server.key"):
            shutil.chown(path, "nobody")
    settings = {
        **DISPOSABLE,
        "ssl": "on",
        "ssl_cert_file": str(directory / "server.pem"),
        "ssl_key_file": str(directory / "server.key"),
    }
    try:
        for candidate in candidates:
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("PG_BIN", str(candidate))
                server = EmbeddedPostgres(settings=settings)
            try:
                server.__enter__()
            except LocalServerError as error:
                if "SSL is not supported" not in str(error):
                    raise
                continue
            try:
                yield server
            finally:
                server.__exit__(None, None, None)
            return
        pytest.skip("no PostgreSQL with TLS here; install the system's, or point PG_BIN at one")
    finally:
        shutil.rmtree(directory)
