"""A certificate authority for tests, and certificates that it signs."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Certificates:
    """PEM files. `other_root` is an authority that has signed none of them."""

    root: Path
    other_root: Path
    server: Path
    server_key: Path


def certificates_in(directory: Path, host: str) -> Certificates:
    """A server's certificate for `host`."""
    key, root = _authority("root")
    _, other = _authority("other")
    server_key = ec.generate_private_key(ec.SECP256R1())
    server = (
        _certificate(host, server_key.public_key(), root.subject)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    files = Certificates(*(directory / name for name in ("root", "other", "server", "key")))
    for file, certificate in (
        (files.root, root),
        (files.other_root, other),
        (files.server, server),
    ):
        file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files.server_key.write_bytes(
        server_key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return files


def _authority(name: str) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    constraints = x509.BasicConstraints(ca=True, path_length=None)
    certificate = (
        _certificate(name, key.public_key(), subject)
        .add_extension(constraints, critical=True)
        .sign(key, hashes.SHA256())
    )
    return key, certificate


def _certificate(
    name: str, key: ec.EllipticCurvePublicKey, issuer: x509.Name
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
    )
