"""The bearer token of a request, nothing proven."""

from domain.errors import InvalidSession


def unverified_token(headers: list[tuple[bytes, bytes]]) -> str:
    """The one bearer token (RFC 6750 §2.1); the scheme's case does not matter (RFC 9110 §11.1)."""
    values = [value for name, value in headers if name == b"authorization"]
    if len(values) != 1:
        raise InvalidSession("not exactly one Authorization header")
    scheme, _, token = values[0].partition(b" ")
    if scheme.lower() != b"bearer" or not token.isascii():
        raise InvalidSession("not a bearer token")
    return token.decode("ascii").strip(" ")
