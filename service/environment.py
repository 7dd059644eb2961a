"""The environment of a process of ours, for the libraries that read it themselves."""

from collections.abc import MutableMapping

from service.dotenv import read_dotenv

_OF_LIBRARIES = ("PG", "OTEL_")
"""The beginnings of the names of libpq's and OpenTelemetry's variables."""

_AUTHORITIES = ("SSL_CERT_FILE", "SSL_CERT_DIR")


def prepare(environment: MutableMapping[str, str]) -> None:
    """Add libpq's and OpenTelemetry's variables of `.env`, and remove empty names of authorities.

    What the environment has comes first. Not for a host's process, whose environment is the host's.
    Raises `ValidationError` for a `.env` that cannot be read.
    """
    for name, value in read_dotenv().items():
        if value and name.startswith(_OF_LIBRARIES) and not environment.get(name):
            environment[name] = value
    for name in _AUTHORITIES:
        # OpenSSL takes an empty one for the name of a file, and then trusts nobody.
        if environment.get(name) == "":
            del environment[name]
