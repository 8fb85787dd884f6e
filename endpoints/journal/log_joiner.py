"""Puts the lines of a collected log together that a log system has split.

Nothing but the hash decides whether pieces are one record, so no piece can be given another meaning. Pieces that give
no hash are reported: their record is missing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, Protocol

import msgspec

from endpoints.journal.log_formats import Entry
from endpoints.journal.log_prefixes import Prefixes
from endpoints.journal.log_repairs import Effort, repaired
from protocol.record.collected import START, Journal, is_closed, parts
from protocol.record.journal import complete_record_in
from protocol.record.verification import resembles_record

OPEN_MAX_BYTES: Final = 1 << 27
"""How much of lines that are not complete is kept. A checkpoint of a full outbox is smaller."""
PIECES_MAX: Final = 1 << 17
OPEN_MAX: Final = 64
OPEN_PER_CHANNEL: Final = 4
ATTEMPTS_MAX: Final = 8
"""How often the end of a record may fail to complete a beginning, until the beginning is given up."""
_VARIED_MAX: Final = 40
_TAIL_BYTES: Final = 100
_ATTEMPT_BYTES: Final = 2_000
"""What an attempt costs besides hashing, as so many bytes hashed."""

# a record that is cut before its side's name ends; the shortest ones must be all of their line
_BEGUN: Final = re.compile(rb'\{"n":[^{}\[\]]{0,200}\Z')
_SHORT: Final = (b"{", b'{"', b'{"n', b'{"n"')
_OBJECT: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


class TakeDamaged(Protocol):
    """Receives what is not a whole record: `CollectedVerification.take_damaged`."""

    def __call__(self, line: bytes, /, *, alone: bool, whose: Journal | None) -> None:
        """Take a line or a piece: whether it stood alone on its line, and whose the lines around it are."""


class _Piece:
    """A piece of a line; `used` once it is a part of a record, or was reported."""

    def __init__(self, text: bytes) -> None:
        self.text = text
        self.used = False


class _Open:
    """The beginning of a record, and what has followed in its channel."""

    def __init__(self, text: bytes) -> None:
        self.pieces = [_Piece(text)]
        self.size = len(text)
        self.attempts = 0

    def joins(self) -> Iterator[list[_Piece]]:
        """Yield the ways in which its pieces may be one line: other lines may have come between them."""
        pieces = [each for each in self.pieces if not each.used]
        yield pieces
        size = len(pieces[0].text)
        same = [each for each in pieces[1:-1] if len(each.text) == size]
        if len(same) < len(pieces) - 2:
            yield [pieces[0], *same, pieces[-1]]
            if len(pieces) <= _VARIED_MAX:
                for index in range(1, len(pieces) - 1):
                    yield pieces[:index] + pieces[index + 1 :]

    def ends(self) -> bool:
        """Return whether its pieces end as a record does."""
        tail = b""
        for each in reversed(self.pieces):
            tail = (b"" if each.used else each.text) + tail
            if len(tail) >= _TAIL_BYTES:
                break
        return is_closed(tail)


class Joiner:
    """Takes the entries of one log and yields the records in them, as lines. `finish` reports what is left."""

    def __init__(self, take_damaged: TakeDamaged) -> None:
        self.effort = Effort()
        self._take_damaged = take_damaged
        self._prefixes = Prefixes()
        self._open: dict[bytes, list[_Open]] = {}
        self._whose: dict[bytes, Journal] = {}
        self._size = 0

    def take(self, entry: Entry) -> Iterator[bytes]:
        """Yield the records that are complete with this entry, each line given its hash."""
        text = entry.text
        if entry.ordinary and b"\\" in text:
            # a record in quotes, in a field that was changed
            text = text.replace(b"\\", b"")
            if resembles_record(text):
                self._damaged(entry.channel, text)
            return
        start = START.search(text) or _BEGUN.search(text)
        if start is None:
            if self._open or resembles_record(text) or text.endswith(_SHORT):
                name, rest = self._prefixes.strip(text)
                yield from self._continue(entry.channel + b"\0" + name, rest, ordinary=entry.ordinary)
            return
        before = text[: start.start()]
        if (cut := _BEGUN.search(before)) is not None:
            # half a line, and the next one after it
            channel = entry.channel + b"\0" + self._prefixes.learn(before[: cut.start()])
            self._damaged(channel, before[cut.start() :])
        elif resembles_record(before):
            name, before = self._prefixes.strip(before)
            channel = entry.channel + b"\0" + name
            yield from self._continue(channel, before, ordinary=False)
        else:
            channel = entry.channel + b"\0" + self._prefixes.learn(before)
        begun = text[start.start() :]
        *_, last = parts(begun)
        for part in parts(begun):
            if part:
                yield from self._part(
                    channel, part, alone=len(part) == len(begun) and not entry.broken, last=part == last
                )

    def finish(self) -> None:
        """Report all beginnings that were not completed."""
        while self._open:
            self._give_up(next(iter(self._open)))

    # --- internal -------------------------------------------------------------------------------------------------

    def _part(self, channel: bytes, part: bytes, *, alone: bool, last: bool) -> Iterator[bytes]:
        """Take a part of a line that begins as a record does."""
        if (start := START.match(part)) is not None:
            if len(self._whose) >= OPEN_MAX:
                self._whose.clear()
            self._whose[channel] = start[2].decode("utf-8", "replace"), start[3].decode("utf-8", "replace")
        if length := complete_record_in(part):
            yield part[:length]
            for each in [*self._open.get(channel, ())]:
                if part.startswith(each.pieces[0].text):
                    # a killed process had printed half of this line
                    self._close(channel, each)
            if resembles_record(part[length:]):
                self._damaged(channel, part[length:])
        elif (record := repaired(part, self.effort)) is not None:
            yield record
        elif is_closed(part) or not last:
            self._damaged(channel, part, alone=alone)
        else:
            self._begin(channel, part)

    def _begin(self, channel: bytes, text: bytes) -> None:
        opened = self._open.setdefault(channel, [])
        opened.append(_Open(text))
        self._size += len(text)
        if len(opened) > OPEN_PER_CHANNEL:
            short = [each for each in opened if each.pieces[0].text in _SHORT]
            self._give_up(channel, min(short, key=lambda each: each.size, default=None))
        while sum(map(len, self._open.values())) > OPEN_MAX or self._size > OPEN_MAX_BYTES:
            self._give_up(next(iter(self._open)))

    def _continue(self, channel: bytes, text: bytes, *, ordinary: bool) -> Iterator[bytes]:
        """Take a line, or the beginning of one, that does not begin as a record does."""
        opened = self._open.get(channel)
        if opened and text and not ordinary:
            yield from self._append(channel, opened, _Piece(text))
        elif resembles_record(text):
            self._damaged(channel, text)
        if text in _SHORT:
            self._begin(channel, text)

    def _append(self, channel: bytes, opened: list[_Open], piece: _Piece) -> Iterator[bytes]:
        for each in opened:
            each.pieces.append(piece)
            each.size += len(piece.text)
        self._size += len(piece.text) * len(opened)
        for each in reversed(opened) if piece.text.rstrip().endswith(b"}") else ():
            if each.ends() and (record := self._joined(each)) is not None:
                yield record
                self._close(channel, each)
                break
        for each in [*opened]:
            if each.attempts >= ATTEMPTS_MAX or len(each.pieces) > PIECES_MAX:
                self._give_up(channel, each)
        while self._size > OPEN_MAX_BYTES:
            self._give_up(next(iter(self._open)))

    def _joined(self, each: _Open) -> bytes | None:
        """Return the record that the pieces are, None if no way to join them gives a hash."""
        each.attempts += 1
        for number, pieces in enumerate(each.joins()):
            if not self.effort.spend(each.size + _ATTEMPT_BYTES):
                return None
            text = b"".join(piece.text for piece in pieces)
            length = complete_record_in(text)
            record = text[:length] if length else None if number else repaired(text, self.effort)
            if record is not None and START.match(record):
                for piece in pieces:
                    piece.used = True
                return record
        return None

    def _give_up(self, channel: bytes, each: _Open | None = None) -> None:
        """Report a beginning, by default the oldest of its channel, and the ends of records after it."""
        each = self._open[channel][0] if each is None else each
        first, *others = each.pieces
        if not first.used and first.text not in _SHORT:
            self._damaged(channel, first.text)
        kept = {id(piece) for other in self._open[channel] if other is not each for piece in other.pieces}
        for piece in others:
            if not piece.used and id(piece) not in kept and is_closed(piece.text):
                piece.used = True
                self._damaged(channel, piece.text)
        self._close(channel, each)

    def _close(self, channel: bytes, each: _Open) -> None:
        self._size -= each.size
        self._open[channel].remove(each)
        if not self._open[channel]:
            del self._open[channel]

    def _damaged(self, channel: bytes, text: bytes, *, alone: bool = False) -> None:
        self._take_damaged(text, alone=alone, whose=self._whose.get(channel))
