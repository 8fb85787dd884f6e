"""Undoes what a log system does to the bytes of a line, if the result gives its hash.

Docker splits a line every 16 KiB. `docker logs --timestamps` prints a time in front of each piece, in the midst of the
line. And json-file replaces the bytes of a character that such a split divides by U+FFFD, one for each byte. Systems
that read lines as JSON write them anew, with other escapes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from hashlib import sha256
from typing import TYPE_CHECKING, Final

import msgspec

from protocol.record.journal import complete_record_in

if TYPE_CHECKING:
    from hashlib import _Hash as Hash

_COPY_BYTES: Final = 200
"""What a copy of a hash costs, as so many bytes hashed."""
_TIMESTAMP: Final = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z ")
_REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}".encode()
_REPLACED: Final = re.compile(b"(?:%b){2,3}" % _REPLACEMENT)
_REPLACED_MAX: Final = 3
_END: Final = re.compile(rb',"hash":"([0-9a-f]{64})"\}')
# the characters of two and of three bytes; and those that the texts of a link consist of
_TWO: Final = [*range(0x80, 0x800)]
_THREE: Final = [*range(0x800, 0xD800), *range(0xE000, 0x10000)]
_LIKELY: Final = [*range(0x410, 0x450), 0x401, 0x451, *range(0xA0, 0x100), *map(ord, "–—‘’“”„…№€")]


class Effort:
    """Limits how much is hashed in attempts to put lines together: some bytes, and more for each byte of the log."""

    START_BYTES: Final = 1 << 30
    PER_BYTE: Final = 16

    def __init__(self) -> None:
        self._left = self.START_BYTES

    def earn(self, read: int) -> None:
        """Allow more, after `read` bytes of the log."""
        self._left = min(self._left + self.PER_BYTE * read, self.START_BYTES << 1)

    def spend(self, size: int) -> bool:
        """Return whether `size` bytes may be hashed, and count them."""
        if size > self._left:
            return False
        self._left -= size
        return True


def repaired(text: bytes, effort: Effort) -> bytes | None:
    """Return the record that `text` was before a log system changed it, None if it can't be found."""
    if (end := _END.search(text)) is not None and effort.spend(len(text)):
        written = _written_anew(text[: end.end()])
        if complete_record_in(written) == len(written) > 0:
            return written
    for plain in {text: None, _TIMESTAMP.sub(b"", text): None}:
        if plain is not text and effort.spend(len(plain)) and (length := complete_record_in(plain)):
            return plain[:length]
        if (found := _filled(plain, effort)) is not None:
            return found
    return None


def _written_anew(text: bytes) -> bytes:
    """Return a JSON object as a journal writes it; nothing if it is none."""
    try:
        return msgspec.json.encode(msgspec.json.decode(text))
    except (ValueError, RecursionError):
        return b""


def _filled(text: bytes, effort: Effort) -> bytes | None:
    """Return the record with the characters that stood where U+FFFD stands now."""
    holes = [*_REPLACED.finditer(text)] if _REPLACEMENT in text else []
    end = next(_END.finditer(text, holes[-1].end()), None) if holes else None
    if end is None or len(holes) > _REPLACED_MAX:
        return None
    begins = [0, *(hole.end() for hole in holes)]
    pieces = [
        text[begin:until] for begin, until in zip(begins, [*(h.start() for h in holes), end.start()], strict=True)
    ]
    before, found = sha256(pieces[0]), None
    for codes in _codes(holes):
        tries, cost = 1, len(pieces[0])
        for choices, piece in zip(codes, pieces[1:], strict=True):
            tries *= len(choices)
            cost += tries * (len(piece) + _COPY_BYTES)
        if found is None and effort.spend(cost):
            found = _search(before, codes, pieces[1:], end[1].decode())
    if found is None:
        return None
    characters = [*(chr(code).encode() for code in found), text[end.start() : end.end()]]
    return b"".join(part for pair in zip(pieces, characters, strict=True) for part in pair)


def _search(before: Hash, codes: list[list[int]], pieces: list[bytes], wanted: str) -> list[int] | None:
    """Return the characters between the pieces that give the wanted hash."""
    for code in codes[0]:
        digest = before.copy()
        digest.update(chr(code).encode() + pieces[0])
        if len(codes) > 1:
            if (rest := _search(digest, codes[1:], pieces[1:], wanted)) is not None:
                return [code, *rest]
        elif digest.hexdigest() == wanted:
            return [code]
    return None


def _codes(holes: list[re.Match[bytes]]) -> Iterator[list[list[int]]]:
    """Yield what may have stood in the holes: first the likely characters, then all, if there is one hole."""
    yield [_LIKELY] * len(holes)
    if len(holes) == 1:
        # some decoders give two U+FFFD for a character of three bytes
        two = len(holes[0][0]) == 2 * len(_REPLACEMENT)
        yield [[*_TWO, *_THREE] if two else _THREE]
