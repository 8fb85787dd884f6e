r"""Encodes and decodes canonical JSON: RFC 8785 restricted to the values that the protocol signs and hashes (SPEC F4).

Admitted values are objects, arrays, strings, integers within 2^53 - 1 and booleans, nested at most `DEPTH_MAX` deep.
Refused are null, numbers with a fraction or an exponent, non-ASCII or duplicate keys, and strings that are not in NFC
or contain a control character other than newline or a code point that Unicode 14.0 does not assign.

For admitted values, msgspec's output is exactly what RFC 8785 requires: sorted keys (in ASCII, the order of code units
is the order of bytes), no white space, and only `"`, `\` and newline escaped. Its encoder therefore writes the bytes,
and one regular expression over its output refuses everything else. tests/protocol/wire/test_canonical.py compares both
with a simple reference implementation. Normalization and assigned code points are checked in the text itself.
"""

from __future__ import annotations

import re
import unicodedata
from hashlib import sha256
from typing import Any, TypeVar

import msgspec

from protocol.phrases import phrase
from protocol.wire.characters import UNICODE, unassigned

DEPTH_MAX = 16
"""Maximum nesting of objects and arrays, twice what version 1 needs."""

_DEPTH_SAFE = 400
"""Nesting that every version of Python decodes, even if its caller stands hundreds of calls deep."""
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)
_DELETE = b"\x7f"
_NO_BRACKET = bytes(set(range(256)) - set(b"[]{}"))
_AS_PARENTHESES = bytes.maketrans(b"[]{}", b"()()")

Decoded = TypeVar("Decoded")

_ENCODER = msgspec.json.Encoder(order="sorted")
_DECODER = msgspec.json.Decoder()


class CanonicalError(ValueError):
    """A value or a byte string is not admitted by SPEC F4; the text says what is wrong and where."""


def _integer_pattern() -> bytes:
    """Return a pattern that matches the integers from 0 to 2^53 - 1 as msgspec writes them."""
    limit = str(2**53 - 1)
    same_length = [
        limit[:index]
        + (f"[0-{int(digit) - 1}]" if index else f"[1-{int(digit) - 1}]")
        + f"[0-9]{{{len(limit) - index - 1}}}"
        for index, digit in enumerate(limit)
        if digit != "0"
    ]
    return "|".join([f"[0-9]{{1,{len(limit) - 1}}}(?![0-9])", limit, *same_length]).encode()


def _tokens_pattern() -> re.Pattern[bytes]:
    """Return a pattern of the tokens of an admitted document, provided that msgspec wrote it."""
    # SPEC F4.4, in UTF-8: the C1 controls U+0080 to U+009F are C2 80 to C2 9F
    character = rb'(?>[ -!#-\[\]-~\x80-\xc1\xc3-\xff]++|\\["\\n]|\xc2[\xa0-\xbf])'
    # SPEC F4.3, F4.5: a string followed by a colon is a key
    # The common case, an ASCII string without escapes, includes the punctuation after it. It matches one string at a
    # time: a repeated group would be faster, but Python 3.11.2 backtracks incorrectly in it.
    plain = rb'"[ -!#-\[\]-~]*+"[:,]?+'
    string = plain + rb'|"(?>(?:[ -!#-\[\]-~]++|\\["\\n])*+"|' + character + rb'*+"(?!:))'
    # SPEC F4.2
    scalar = string + rb"|[,:]|-?(?:" + _integer_pattern() + rb")(?![0-9.eE])|true|false"
    return re.compile(rb"(?>[\[\]{}]|" + scalar + rb")*+")


_TOKENS = _tokens_pattern()


def encode(value: Any) -> bytes:
    """Return the canonical bytes of `value`, a Struct of the protocol or plain values.

    Types that msgspec encodes as an admitted kind are accepted: a tuple as an array, an enumeration as its value.

    Raises CanonicalError for a value that SPEC F4.1 to F4.5 do not admit.
    """
    try:
        data = _ENCODER.encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise CanonicalError(phrase("not admitted: {error}", error=str(error)[:200])) from error
    _check(data)
    return data


def encode_again(value: Any) -> bytes:
    """Return the canonical bytes of a value that is known to be admitted: of what was decoded or encoded before."""
    return _ENCODER.encode(value)


def decode_as(data: bytes, decoder: msgspec.json.Decoder[Decoded]) -> Decoded | None:
    """Return the value of canonical bytes as the decoder's type; None if `decode` or a conversion would refuse them.

    This passes over the plain value, which `decode` returns. Who gets None asks `decode` for the reason.
    """
    try:
        value = decoder.decode(data)
        if _ENCODER.encode(value) != data:
            return None
        _check(data)
    except (ValueError, TypeError, OverflowError, RecursionError):
        return None
    return value


def decode(data: bytes) -> Any:
    """Return the value that the canonical bytes `data` encode.

    Raises CanonicalError, and no other exception, if `data` is not JSON, contains a value that is not admitted, or
    differs from its own re-encoding (SPEC F4.6).
    """
    # Python's own limit depends on its version and on the depth of the caller's stack; a replay must find the same
    if data.count(b"[") + data.count(b"{") > _DEPTH_SAFE and _depth(data) > _DEPTH_SAFE:
        raise CanonicalError(_TOO_DEEP)
    try:
        value = _DECODER.decode(data)
        again = _ENCODER.encode(value)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise CanonicalError(phrase("not canonical JSON: {error}", error=str(error)[:200])) from error
    if again != data:
        raise CanonicalError(
            phrase(
                "not canonical JSON: written again, it differs from byte {place} on",
                place=_first_difference(again, data),
            )
        )
    _check(again)
    return value


def digest(value: Any) -> str:
    """Return the SHA-256 of the canonical bytes of `value`, in lower-case hexadecimal.

    Raises CanonicalError as `encode` does.
    """
    return sha256(encode(value)).hexdigest()


def _check(data: bytes) -> None:
    """Raise CanonicalError if `data`, as written by msgspec, contains a value that SPEC F4 does not admit."""
    if data.isascii() and b"\\" not in data and _DELETE not in data:
        # Every string is admitted: only what stands between them needs a look. Without commas, integers may form a
        # longer one, which at worst is looked at again below.
        between = b"".join(data.split(b'"')[::2])
        if _TOKENS.fullmatch(between.translate(None, b",:")) and not _deeper(between, DEPTH_MAX):
            return
    if not _TOKENS.fullmatch(data):
        match = _TOKENS.match(data)
        end = match.end() if match else 0
        raise CanonicalError(
            phrase(
                "not admitted at byte {place}: {found} ({rule})",
                place=end,
                found=repr(data[end : end + 40]),
                rule=_RULE,
            )
        )
    # SPEC F4.5
    if data.count(b"[") + data.count(b"{") > DEPTH_MAX and _deeper(_without_strings(data), DEPTH_MAX):
        raise CanonicalError(_TOO_DEEP)
    if data.isascii():
        return
    # SPEC F4.4
    text = data.decode()
    if (character := unassigned(text)) is not None:
        raise CanonicalError(
            phrase(
                "not admitted: {character} is not assigned in Unicode {version}",
                character=f"U+{ord(character):04X}",
                version=UNICODE,
            )
        )
    if not unicodedata.is_normalized("NFC", text) and not unicodedata.is_normalized("NFC", _unescaped(text)):
        raise CanonicalError(phrase("not admitted: a string is not in Unicode normalization form C"))


_TOO_DEEP = phrase("not admitted: nested deeper than {limit}", limit=DEPTH_MAX)
_RULE = phrase(
    "admitted are strings without noncharacters and control characters but newline, integers within 2^53 - 1, booleans,"
    " ASCII keys"
)


def _unescaped(text: str) -> str:
    r"""Return JSON with newlines as themselves, so that no combining character is judged as one after the `n` of `\n`.

    A backslash becomes a newline too. Quotation mark, backslash and newline compose with no character: the result is in
    NFC if and only if every string is.
    """
    return text.replace(r"\\", "\n").replace(r"\n", "\n")


def _without_strings(data: bytes) -> bytes:
    """Return what stands between the strings of JSON."""
    if b'\\"' in data:
        return _STRING.sub(b"", data)
    return b"".join(data.split(b'"')[::2])


def _deeper(structure: bytes, limit: int) -> bool:
    """Return whether brackets nest deeper than `limit` in JSON without its strings."""
    brackets = structure.translate(_AS_PARENTHESES, _NO_BRACKET)
    for _ in range(limit):
        if not brackets:
            return False
        # the innermost ones
        brackets = brackets.replace(b"()", b"")
    return bool(brackets)


def _depth(data: bytes) -> int:
    """Return how deep brackets nest in `data`, which need not be JSON; those within strings do not count."""
    depth = deepest = 0
    for bracket in _STRING.sub(b"", data).translate(None, _NO_BRACKET):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _first_difference(left: bytes, right: bytes) -> int:
    """Return the index of the first byte at which two byte strings differ."""
    for index, (ours, theirs) in enumerate(zip(left, right, strict=False)):
        if ours != theirs:
            return index
    return min(len(left), len(right))
