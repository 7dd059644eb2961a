"""The value of a setting without what docker, kubectl or a file adds to it."""

_READ_WITH_QUOTES = {"clerk_jwt_key"}
_COMPARED_AS_TEXT = {"changes_token", "clerk_audience", "console_operator_token", "console_token"}


def bare(value: object, name: str | None) -> object:
    """The same value. Raises `ValueError` for quotes around it, and for white space around one that
    is compared as text, which nothing would equal.
    """
    if not isinstance(value, str):
        return value
    text = value.strip()
    is_quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "'\""
    if is_quoted and name not in _READ_WITH_QUOTES:
        raise ValueError("leave out the quotes: docker --env-file and kubectl keep them")
    if text != value and name in _COMPARED_AS_TEXT:
        raise ValueError("leave out the white space around it, as the end of a line")
    return value
