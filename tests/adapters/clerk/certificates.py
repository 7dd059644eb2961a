"""A server with an untrusted certificate."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

HOST = "127.0.0.1"


@dataclass
class Untrusted:
    """`heard` has the bytes received after the handshake."""

    url: str
    heard: bytes = b""


@asynccontextmanager
async def untrusted_server(key: RSAPrivateKey, directory: Path) -> AsyncIterator[Untrusted]:
    untrusted = Untrusted("")

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        untrusted.heard += await reader.read(1)
        writer.close()

    server = await asyncio.start_server(listen, HOST, 0, ssl=self_signed_context(key, directory))
    untrusted.url = f"https://{HOST}:{server.sockets[0].getsockname()[1]}"
    yield untrusted
    server.close()


def self_signed_context(key: RSAPrivateKey, directory: Path) -> ssl.SSLContext:
    pem = directory / "self-signed.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    pem.write_bytes(private + _self_signed(key).public_bytes(Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


def _self_signed(key: RSAPrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, HOST)])
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address(HOST))]), critical=False
        )
        .sign(key, SHA256())
    )
