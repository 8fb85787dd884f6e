import hashlib
import json
import unicodedata
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from protocol.wire.canonical import DEPTH_MAX, CanonicalError, decode, digest, encode
from protocol.wire.characters import unassigned
from protocol.wire.messages import Change, Reference

Value = Any


# --- a simple reference implementation of SPEC F4, without msgspec ------------------------------------------------


def reference_encode(value: Value, depth: int = 0) -> bytes:
    """Encode a value literally as SPEC F4.1 to F4.5 say; raise ValueError if they do not admit it."""
    match value:
        case bool():
            return b"true" if value else b"false"
        case int():
            if abs(value) > 2**53 - 1:
                raise ValueError("an integer beyond 2^53 - 1")
            return str(value).encode()
        case str():
            return reference_string(value)
        case list() | dict() if depth == DEPTH_MAX:
            raise ValueError("nested too deep")
        case list():
            return b"[" + b",".join(reference_encode(each, depth + 1) for each in value) + b"]"
        case dict():
            if not all(key.isascii() for key in value):
                raise ValueError("a key beyond ASCII")
            members = [
                reference_string(key) + b":" + reference_encode(value[key], depth + 1)
                for key in sorted(value, key=lambda key: key.encode("utf-16-be"))
            ]
            return b"{" + b",".join(members) + b"}"
        case _:
            raise ValueError(f"a {type(value)}")


def reference_string(text: str) -> bytes:
    for character in text:
        code = ord(character)
        if unicodedata.category(character) == "Cc" and character != "\n":
            raise ValueError("a control character")
        if 0xD800 <= code <= 0xDFFF or 0xFDD0 <= code <= 0xFDEF or code & 0xFFFE == 0xFFFE:
            raise ValueError("a surrogate or a noncharacter")
        if unassigned(character):
            raise ValueError("a character that Unicode 14.0 does not have")
    if unicodedata.normalize("NFC", text) != text:
        raise ValueError("not NFC")
    return json.dumps(text, ensure_ascii=False).encode()


def admitted(value: Value) -> bool:
    try:
        reference_encode(value)
    except ValueError:
        return False
    return True


# --- strategies ---------------------------------------------------------------------------------------------------

awkward_characters = st.sampled_from(
    '\0\t\n\r\x1f "\\/\x7f\x80\x85\x9f\xa0\u0300\u0301\u0338<=>ée\u2028\ud7ff\ue000\ufdcf\ufdd0\ufdef\ufdf0\ufeff\ufffd'
    "\ufffe\uffff\u0378\u0870\U0001e08f\U0001fae8\U0001f600\U0001fffe\U0001ffff\U0010fffe\U0010ffff\ud800\udfffйи\u0306ёЩ"
)
strings = st.text(st.one_of(st.characters(), awkward_characters), max_size=12)
integers = st.one_of(
    st.integers(),
    st.integers(-5, 5).map(lambda near: 2**53 + near),
    st.integers(-5, 5).map(lambda near: -(2**53) + near),
    st.integers(0, 20).map(lambda power: 10**power),
)
scalars = st.one_of(st.booleans(), integers, strings, st.floats(), st.none())
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(strings, inner, max_size=4)),
    max_leaves=12,
)
good_strings = strings.filter(admitted)
good_integers = integers.filter(lambda number: abs(number) < 2**53)
good_values = st.recursive(
    st.one_of(st.booleans(), good_integers, good_strings),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(good_strings.filter(str.isascii), inner, max_size=4)
    ),
    max_leaves=20,
)


def nested(depth: int) -> Value:
    value: Value = 1
    for index in range(depth):
        value = [value] if index % 2 else {"a": value}
    return value


# --- the tests ----------------------------------------------------------------------------------------------------


@given(values)
@example({"é": 1})
@example({'a"\n\\': ["é", {"b": 2**53 - 1}]})
@example(nested(DEPTH_MAX))
@example(nested(DEPTH_MAX + 1))
@example("\u0338")
@example("a\n\u0303b")
@example("\\n\u0303")
@example("\\\n\u0303")
@example(["n", "\u0303"])
@example("x\U0001e08f\u0323")
@example("\ue000\U0010fffd")
def test_encode_agrees_with_the_reference(value: Value) -> None:
    """SPEC F4.1, F4.2, F4.3, F4.4, F4.5"""
    try:
        expected = reference_encode(value)
    except ValueError:
        with pytest.raises(CanonicalError):
            encode(value)
    else:
        assert encode(value) == expected


@given(good_values)
def test_admitted_values_survive_a_round_trip(value: Value) -> None:
    """SPEC F4.1"""
    data = encode(value)
    assert decode(data) == value
    assert digest(value) == hashlib.sha256(data).hexdigest()


@given(good_values, st.data())
def test_decode_accepts_only_the_canonical_bytes_of_a_value(value: Value, data: st.DataObject) -> None:
    """SPEC F4.6: after any change of the bytes, decode accepts them only if encode would write the same."""
    written = bytearray(encode(value))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(written)))
        removed = data.draw(st.integers(0, 2))
        written[at : at + removed] = data.draw(
            st.sampled_from([b"", b" ", b"0", b"-", b".0", b"\\u0041", b"1e1", b","])
        )
    try:
        admitted_value = decode(bytes(written))
    except CanonicalError:
        return
    assert reference_encode(admitted_value) == bytes(written)


@given(st.one_of(st.binary(), st.text().map(lambda text: text.encode("utf-8", "surrogatepass"))))
def test_decode_raises_only_canonical_errors(data: bytes) -> None:
    """SPEC F4.6"""
    try:
        value = decode(data)
    except CanonicalError:
        return
    assert encode(value) == data


NOT_CANONICAL = {
    "empty": b"",
    "white space after": b"1 ",
    "white space inside": b'{"a": 1}',
    "byte order mark": b"\xef\xbb\xbf1",
    "a second document": b"1\n1",
    "unsorted keys": b'{"b":1,"a":2}',
    "duplicate key": b'{"a":1,"a":1}',
    "a key beyond ASCII": '{"é":1}'.encode(),
    "an escaped key beyond ASCII": b'{"\\u00e9":1}',
    "minus zero": b"-0",
    "leading zero": b"01",
    "fraction": b"1.5",
    "whole fraction": b"1.0",
    "exponent": b"1e2",
    "2^53": b"9007199254740992",
    "-2^53": b"-9007199254740992",
    "thousands of digits": b"9" * 5_000,
    "null": b"null",
    "null in an array": b"[null]",
    "not a number": b"NaN",
    "needless escape": b'"\\u0041"',
    "escaped slash": b'"\\/"',
    "newline as a number": b'"\\u000a"',
    "raw newline": b'"\n"',
    "tabulator": b'"\\t"',
    "NUL": b'"\\u0000"',
    "DEL": b'"\x7f"',
    "C1": '"\u0085"'.encode(),
    "noncharacter": '"\ufffe"'.encode(),
    "noncharacter of another plane": '"\U0001ffff"'.encode(),
    "not NFC": '"e\u0301"'.encode(),
    "not NFC in a long text": f'"{"x" * 5_000}e\u0301"'.encode(),
    "not NFC in Russian": '"и\u0306"'.encode(),
    "not NFC after a newline": '"\\nn\u0303"'.encode(),
    "not NFC after a backslash": '"\\\\n\u0303"'.encode(),
    "newer than Unicode 14.0": '"\U0001e08f"'.encode(),
    "lone surrogate escaped": b'"\\ud800"',
    "lone surrogate encoded": b'"\xed\xa0\x80"',
    "surrogate pair encoded": b'"\xed\xa0\xbd\xed\xb8\x80"',
    "overlong UTF-8": b'"\xc0\xaf"',
    "cut UTF-8": b'"\xd0"',
    "one level too deep": b"[" * (DEPTH_MAX + 1) + b"]" * (DEPTH_MAX + 1),
    "very deep": b"[" * 100_000,
    "deep and closed": b"[" * 900 + b"]" * 900,
    "cut short": b'{"a":',
}


@pytest.mark.parametrize("data", NOT_CANONICAL.values(), ids=NOT_CANONICAL.keys())
def test_decode_refuses_what_is_not_canonical(data: bytes) -> None:
    """SPEC F4.1 to F4.6"""
    with pytest.raises(CanonicalError) as refused:
        decode(data)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize(
    "value", [None, 1.0, {"a": None}, [0.5], {1: 2}, object(), "\ud800", 2**53, {"я": 1}, {"a", 0.5}]
)
def test_encode_refuses_other_values(value: Value) -> None:
    with pytest.raises(CanonicalError):
        encode(value)


def test_encode_refuses_a_value_that_contains_itself() -> None:
    value: list[Value] = []
    value.append(value)
    with pytest.raises(CanonicalError):
        encode(value)


def test_a_struct_is_encoded_like_its_plain_values() -> None:
    change = Change(of=Reference("eucom", 1, 42), kind="update")
    assert encode(change) == encode(msgspec.to_builtins(change))
    assert encode(change) == b'{"kind":"update","of":{"epoch":1,"sender":"eucom","seq":42}}'


def test_a_refusal_gives_the_position() -> None:
    with pytest.raises(CanonicalError, match="byte 13"):
        decode(b'{"a":"b","c":1, "d":2}'.replace(b", ", b",").replace(b"1", b"1.5"))
    with pytest.raises(CanonicalError, match="deeper than 16"):
        encode(nested(17))
    with pytest.raises(CanonicalError, match=r"U\+1FAE8 is not assigned in Unicode 14\.0"):
        encode({"text": "Внимание \U0001fae8"})
