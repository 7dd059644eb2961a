"""Text, metadata and JSON of a payload: what is kept, and what Postgres could not keep."""

from typing import Any

import pytest

from adapters.clerk.translate.json import Unreadable, read_json
from tests.adapters.clerk.payloads import (
    MISSING,
    address,
    reason,
    translated,
)

TEXT_FIELDS = ["username", "first_name", "last_name", "image_url", "external_id"]


class TestText:
    @pytest.mark.parametrize(
        "value",
        [
            "<script>alert(1)</script>",
            "\x1b[31mred\r\n",
            "${jndi:ldap://x}",
            "=cmd()",
            "\u202egnp.exe",
            "  Ada ",
            "👩‍🔬",
            "",
            "a" * 10_000,
        ],
    )
    def test_is_kept_just_as_it_came(self, value: str) -> None:
        assert translated(first_name=value).first_name == value

    @pytest.mark.parametrize("field", TEXT_FIELDS)
    @pytest.mark.parametrize(
        ("value", "why"),
        [
            (5, "wrong_type"),
            ([], "wrong_type"),
            (False, "wrong_type"),
            ("a\x00", "nul_character"),
            ("\ud800", "lone_surrogate"),
        ],
    )
    def test_postgres_could_not_keep_is_refused(self, field: str, value: Any, why: str) -> None:
        assert reason(**{field: value}) == why

    @pytest.mark.parametrize("field", TEXT_FIELDS)
    @pytest.mark.parametrize("value", [None, MISSING])
    def test_may_be_absent(self, field: str, value: Any) -> None:
        assert getattr(translated(**{field: value}), field) is None

    def test_of_an_address_is_looked_at_too(self) -> None:
        assert reason(email_addresses=[address("a\x00@example.com")]) == "nul_character"
        assert reason(email_addresses=[address(5)]) == "wrong_type"


class TestPublicMetadata:
    @pytest.mark.parametrize("value", [None, MISSING, {}])
    def test_may_be_absent(self, value: Any) -> None:
        assert translated(public_metadata=value).public_metadata == {}

    @pytest.mark.parametrize("value", [[], "x", 5, True])
    def test_is_an_object(self, value: Any) -> None:
        assert reason(public_metadata=value) == "wrong_type"

    @pytest.mark.parametrize(
        ("value", "why"),
        [
            ({"a": "\x00"}, "nul_character"),
            ({"a\x00": 1}, "nul_character"),
            ({"a": [{"b": "x\\\x00"}]}, "nul_character"),
            ({"a": "\ud800"}, "not_storable"),
            ({"\ud800": 1}, "not_storable"),
            ({"a": 2**64}, "not_storable"),
        ],
    )
    def test_postgres_could_not_keep_is_refused(self, value: Any, why: str) -> None:
        assert reason(public_metadata=value) == why

    @pytest.mark.parametrize("value", ["\\u0000", "\\\\u0000", "u0000"])
    def test_may_spell_out_a_nul(self, value: str) -> None:
        assert translated(public_metadata={"a": value}).public_metadata == {"a": value}

    def test_of_one_megabyte_is_kept(self) -> None:
        large = {str(number): "x" * 100 for number in range(10_000)}
        assert translated(public_metadata=large).public_metadata == large

    def test_too_deep_to_be_written_again_is_refused(self) -> None:
        assert reason(public_metadata=nested(250)) == "not_storable"
        assert translated(public_metadata=nested(200)).public_metadata == nested(200)

    @pytest.mark.parametrize(
        ("number", "kept"),
        [
            (1e15, "1000000000000000.0"),
            (1e16, "10000000000000000"),
            (-1e16, "-10000000000000000"),
            (2.0**60, "1152921504606846976"),
            (2.0**64, "1.8446744073709552e+19"),
            (-0.0, "0.0"),
            (-0.05, "-0.05"),
            (1, "1"),
        ],
    )
    def test_has_its_numbers_as_postgres_gives_them_back(self, number: float, kept: str) -> None:
        read = translated(public_metadata={"a": [{"b": number}], "1e16": "-0.0"}).public_metadata
        assert repr(read) == f"{{'a': [{{'b': {kept}}}], '1e16': '-0.0'}}"


def nested(levels: int) -> Any:
    value: Any = {}
    for _ in range(levels):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"   ",
        b"{",
        b'{"a":1}x',
        b"\xef\xbb\xbf{}",
        b'{"a":"\xff"}',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":-Infinity}',
        b'{"a":"\\ud800"}',
        b'{"\\udfff":1}',
        b"[" * 100_000 + b"]" * 100_000,
        b"[" + b"9" * 5_000 + b"]",
        b'{"a":"\n"}',
    ],
)
def test_what_is_not_strict_json_is_unreadable(body: bytes) -> None:
    with pytest.raises(Unreadable, match="not_json"):
        read_json(body)


def test_of_duplicate_keys_the_last_one_counts() -> None:
    assert read_json(b'{"a":1,"a":2}') == {"a": 2}


def test_integers_beyond_64_bits_become_floats() -> None:
    assert read_json(b"[18446744073709551615,123456789012345678901]") == [
        2**64 - 1,
        1.2345678901234568e20,
    ]


def test_the_reason_never_quotes_the_payload() -> None:
    with pytest.raises(Unreadable) as caught:
        read_json(b'{"secret": hunter2}')
    assert "hunter2" not in str(caught.value)
