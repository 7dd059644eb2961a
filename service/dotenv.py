"""The `.env` file, in UTF-8 or, as some editors and shells of Windows write it, in UTF-16."""

import codecs
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values
from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

DOTENV = ".env"

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_dotenv(file: Path | str = DOTENV) -> Mapping[str, str | None]:
    """The names and values of the file; empty if there is none. Raises `ValidationError`."""
    return dotenv_values(file, encoding=encoding_of(file))


def encoding_of(file: Path | str) -> str:
    """The encoding of the file. Raises `ValidationError`, as wrong settings do."""
    try:
        written = Path(file).read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        written = b""
    except OSError as error:
        raise _unreadable(file, f"it cannot be read: {error.strerror}") from None
    encoding = "utf-16" if written.startswith(_UTF_16) else "utf-8-sig"
    try:
        text = written.decode(encoding)
    except UnicodeDecodeError:
        raise _unreadable(file, "it is not in UTF-8: save it in UTF-8") from None
    if "\x00" in text:
        raise _unreadable(file, "it is not text in UTF-8: save it in UTF-8")
    return encoding


def _unreadable(file: Path | str, words: str) -> ValidationError:
    # The text is a parameter: in a template, a brace would begin a field.
    error = PydanticCustomError("dotenv_unreadable", "{words}", {"words": words})
    detail = InitErrorDetails(type=error, loc=(str(file),), input=None)
    return ValidationError.from_exception_data("Settings", [detail], hide_input=True)
