"""The journal's record format and its hash chain: one JSON object a line.

    {"n":7,"link":"eucom-ndmc","side":"eucom","batch":6,"at":"2022-11-29T08:00:00.000Z","mono":123,
     "event":"BatchClosed",<the event's own fields>,"effects":[...],"prev":"<64 hex>","hash":"<64 hex>"}

`hash` is the SHA-256 of the line's bytes before `,"hash":`; `prev` is the `hash` of the record before; `batch` is the
first `n` of the records that reached the disk with one flush. A record has exactly one encoding: a line that does not
re-encode to its own bytes is refused, so that no byte can change undetected. Every batch ends with a `BatchClosed`;
the journal's own entries, `Checkpoint`, `HeadSigned` and `Closed`, are each a batch of their own.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import reduce
from hashlib import sha256
from operator import attrgetter, or_
from typing import Any, get_args

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from protocol.core.effects import AnyEffect, Apply, Queue, RaiseAlarm
from protocol.core.event import Event
from protocol.core.event_fields import Rules
from protocol.core.events import AnyEvent, BatchClosed
from protocol.core.start_events import EpochOpened
from protocol.errors import JournalError
from protocol.phrases import phrase
from protocol.wire import canonical
from protocol.wire.instants import parsed, written
from protocol.wire.messages import Digest, Identifier, Seq, Utc

HEAD_TYPE = "application/vnd.deconfliction.head.v1+json"
"""Payload type of a signed head (DSSE)."""

ORIGIN = "0" * 64
"""`prev` of record 1."""

FIRST_RULES: Rules = "1"
"""The version of the rules of a journal whose record 1 does not name them."""


class Checkpoint(Event, frozen=True, kw_only=True):
    """Begins a segment with the whole state, so that a start reads one segment, whatever the age of the link."""

    # version of the rules that produced `state` and the records of this segment
    rules: Rules
    # the core object that it restores: `Link` or `Observer`
    core: str
    # in JSON, as `checkpoint()` of the core gave it
    state: Raw
    # DSSE envelope over `head_payload` of the record before this one; absent while this side has no key to sign with
    signed_head: str | UnsetType = UNSET


class HeadSigned(Event, frozen=True, kw_only=True):
    """The side vouched for the journal so far: at the latest 15 minutes after a record."""

    # DSSE envelope over `head_payload` of the record before this one
    signed_head: str


class Closed(Event, frozen=True, kw_only=True):
    """The service stopped in order; no batch was open."""

    # DSSE envelope over `head_payload` of the record before this one
    signed_head: str | UnsetType = UNSET


Entry = AnyEvent | Checkpoint | HeadSigned | Closed
"""The content of a record: an event of the core, or an entry of the journal's own."""

OWN_ENTRIES: frozenset[type[Event]] = frozenset({Checkpoint, HeadSigned, Closed})
"""The types of the journal's own entries, each of which is a batch of its own."""
_ENDS_BATCH = OWN_ENTRIES | {BatchClosed}


class Record(Struct, frozen=True):
    """One record. `entry.at` is in milliseconds since 1970; `hash` is that of the line it was decoded from."""

    n: int
    link: str
    side: str
    batch: int
    entry: Entry
    effects: tuple[AnyEffect, ...]
    prev: str
    hash: str

    @property
    def ends_batch(self) -> bool:
        """Whether this record is the last one of its batch."""
        return type(self.entry) in _ENDS_BATCH

    @property
    def rules(self) -> Rules | None:
        """The version of the rules that this record and those after it were written under; None if it names none.

        A checkpoint names them, and so does record 1; a record 1 that does not was written under rules 1.
        """
        if isinstance(self.entry, Checkpoint):
            return self.entry.rules
        if self.n > 1:
            return None
        named = self.entry.rules if isinstance(self.entry, EpochOpened) else UNSET
        return FIRST_RULES if named is UNSET else named


class HeadClaim(Struct, frozen=True, forbid_unknown_fields=True):
    """The payload of a signed head: record `n` of this side's journal has this hash."""

    link: Identifier
    side: Identifier
    n: Seq
    hash: Digest


def head_payload(link: str, side: str, n: int, digest: str) -> bytes:
    """Return the canonical payload of the signed head that covers all records up to `n`."""
    return canonical.encode(HeadClaim(link, side, n, digest))


# --- lines --------------------------------------------------------------------------------------------------------


def _line_type(entry: type[Event]) -> type[Struct]:
    """Return the struct that a line of this entry decodes to: the record's fields and the entry's own, flat."""
    own: list[Any] = []
    for field in msgspec.structs.fields(entry):
        kind = str if field.name == "at" else field.type
        own.append((field.name, kind) if field.required else (field.name, kind, field.default))
    around = [("n", Seq), ("link", Identifier), ("side", Identifier), ("batch", Seq)]
    after = [("effects", tuple[AnyEffect, ...]), ("prev", Digest), ("hash", Digest)]
    return msgspec.defstruct(
        f"{entry.__name__}Line",
        [*around, *own, *after],
        kw_only=True,
        frozen=True,
        forbid_unknown_fields=True,
        tag_field="event",
        tag=entry.__name__,
    )


_LINES: dict[type[Struct], tuple[type[Event], tuple[str, ...]]] = {
    _line_type(entry): (entry, entry.__struct_fields__[2:]) for entry in get_args(Entry)
}
_INSTANTS: dict[type[Event], tuple[str, ...]] = {
    entry: tuple(field.name for field in msgspec.structs.fields(entry) if field.type in (Utc, tuple[Utc, ...]))
    for entry in get_args(Entry)
}
_INSTANT_OF_EFFECT: dict[type[Struct], Callable[[Any], Utc]] = {
    Queue: attrgetter("message.at"),
    Apply: attrgetter("message.at"),
    RaiseAlarm: attrgetter("alarm.raised_at"),
}
_DECODER: msgspec.json.Decoder[Any] = msgspec.json.Decoder(reduce(or_, _LINES))
_ENTRY_DECODER: msgspec.json.Decoder[Any] = msgspec.json.Decoder(Entry)
_EFFECTS_DECODER = msgspec.json.Decoder(tuple[AnyEffect, ...])
_ENCODER = msgspec.json.Encoder()

_HASH = re.compile(rb',"hash":"([0-9a-f]{64})"}')
_HASH_BYTES = len(',"hash":"') + 64 + len('"}')


def encode(
    n: int,
    link: str,
    side: str,
    batch: int,
    entry: Entry,
    effects: tuple[AnyEffect, ...],
    prev: str,
    *,
    read_again: bool = True,
) -> tuple[bytes, str]:
    """Return a record's line, without its newline, and its hash.

    Raises JournalError for an entry with a field that `decode` would refuse, so that every written record can be read.
    Without `read_again`, the caller knows that it can.
    """
    try:
        fields, acts = _ENCODER.encode(entry), _ENCODER.encode(effects)
        if read_again:
            _ENTRY_DECODER.decode(fields)
            _EFFECTS_DECODER.decode(acts)
            _check_instants(entry, effects)
        body = _body(n, link, side, batch, written(entry.at), entry, fields, acts, prev)
    except (ValueError, OverflowError, RecursionError) as error:
        raise JournalError(
            n, phrase("a {kind} that could not be read again: {error}", kind=type(entry).__name__, error=error)
        ) from error
    digest = sha256(body).hexdigest()
    return b'%b,"hash":"%b"}' % (body, digest.encode()), digest


def decode(line: bytes, place: int = 0) -> Record:
    """Return the record in `line`, given without its newline.

    `place` is the number that a record should have here, for errors of a line whose own number cannot be read.

    Raises JournalError if the line is cut, contains NUL bytes, does not match its hash, or is not encoded as `encode`
    does it.
    """
    digest = _digest(line, place)
    try:
        fields = _DECODER.decode(line)
    except (ValueError, RecursionError) as error:
        raise JournalError(place, phrase("not a record: {error}", error=error)) from error
    entry_type, names = _LINES[type(fields)]
    try:
        entry: Any = entry_type(
            at=parsed(fields.at), mono=fields.mono, **{name: getattr(fields, name) for name in names}
        )
        record = Record(
            fields.n, fields.link, fields.side, fields.batch, entry, fields.effects, fields.prev, fields.hash
        )
        _check_instants(entry, fields.effects)
        again = _again(record, fields.at)
    except (ValueError, OverflowError, RecursionError) as error:
        raise JournalError(fields.n, phrase("not a record: {error}", error=error)) from error
    if again != line[:-_HASH_BYTES]:
        raise JournalError(
            fields.n, phrase("not written as a journal writes it (order of keys, white space, spelling)")
        )
    assert digest == record.hash
    return record


def _check_instants(entry: Entry, effects: tuple[AnyEffect, ...]) -> None:
    """Raise ValueError for an instant that the calendar does not have: readers calculate with them."""
    for name in _INSTANTS[type(entry)]:
        value = getattr(entry, name)
        for instant in (value,) if isinstance(value, str) else value:
            parsed(instant)
    for effect in effects:
        if (instant_of := _INSTANT_OF_EFFECT.get(type(effect))) is not None:
            parsed(instant_of(effect))


def complete_record_in(fragment: bytes) -> int:
    """Return the length of the complete record that `fragment`, not ended by a newline, begins with; 0 for none."""
    digest, done = sha256(), 0
    for match in _HASH.finditer(fragment):
        digest.update(fragment[done : match.start()])
        done = match.start()
        if digest.hexdigest().encode() == match[1]:
            return match.end()
    return 0


def claimed_hash(line: bytes) -> str | None:
    """Return the hash at the end of a damaged line, None if that end is not readable."""
    match = _HASH.fullmatch(line[-_HASH_BYTES:])
    return match[1].decode() if match else None


def _digest(line: bytes, place: int) -> str:
    """Return the hash of a line. Raises JournalError unless the line ends with that hash."""
    if b"\0" in line:
        raise JournalError(place, phrase("there is a hole of NUL bytes in it"))
    claimed = claimed_hash(line)
    if claimed is None:
        raise JournalError(place, phrase("it is cut, or its end was changed: it does not end with its hash"))
    digest = sha256(line[:-_HASH_BYTES]).hexdigest()
    if digest != claimed:
        raise JournalError(place, phrase("its bytes do not give its hash: something in it was changed"))
    return digest


def _again(record: Record, at: str) -> bytes:
    """Return the line that `encode` writes for a record, up to its hash; `at` is the time as the line has it.

    Raises ValueError.
    """
    entry = record.entry
    if isinstance(entry, Checkpoint):
        state = _ENCODER.encode(msgspec.json.decode(entry.state))
        entry = msgspec.structs.replace(entry, state=Raw(state))
    fields, effects = _ENCODER.encode(entry), _ENCODER.encode(record.effects)
    return _body(record.n, record.link, record.side, record.batch, at, entry, fields, effects, record.prev)


def _body(
    n: int, link: str, side: str, batch: int, at: str, entry: Entry, fields: bytes, effects: bytes, prev: str
) -> bytes:
    """Return a record's line up to its hash: `at` is the entry's, written; `fields` and `effects` are encoded."""
    name = type(entry).__name__.encode()
    # msgspec writes the tag, then `at` and `mono`, then the event's own fields
    opening = len(b'{"event":"%b","at":%d,"mono":%d' % (name, entry.at, entry.mono))
    head = b'{"n":%d,"link":"%b","side":"%b","batch":%d,"at":"%b","mono":%d,"event":"%b"' % (
        n,
        link.encode(),
        side.encode(),
        batch,
        at.encode(),
        entry.mono,
        name,
    )
    # a view: the state in a checkpoint may take many megabytes
    own = memoryview(fields)[opening:-1]
    return b"".join((head, own, b',"effects":', effects, b',"prev":"', prev.encode(), b'"'))


# --- the chain ----------------------------------------------------------------------------------------------------


class Chain:
    """Checks that each record follows from the one before. It begins at record 1 or at any checkpoint.

    Attributes:
        n: the last record's number, 0 before the first.
        hash: the last record's hash.
        batch: the first number of the batch that has not ended yet, None between batches.
        rules: the version of the rules of the last record, 0 before the first.
    """

    def __init__(self, link: str | None = None, side: str | None = None) -> None:
        self.link = link
        self.side = side
        self.n = 0
        self.hash = ORIGIN
        self.batch: int | None = None
        self.rules = 0

    def take(self, line: bytes) -> Record:
        """Return the record in `line` and advance to it. Raises JournalError; then nothing has changed."""
        record = decode(line, self.n + 1)
        if wrong := self.objection(record):
            raise JournalError(self.n + 1 if self.n else record.n, wrong)
        self.adopt(record)
        return record

    def objection(self, record: Record) -> str:
        """Return why `record` cannot follow, or an empty string."""
        if (wrong := self._stranger(record)) or (wrong := self._misplaced(record)):
            return wrong
        if record.rules is not None and int(record.rules) < self.rules:
            return phrase(
                "it names rules {rules} after records of rules {known}: no version goes back",
                rules=record.rules,
                known=self.rules,
            )
        if self.batch is None:
            if record.batch != record.n:
                return phrase("it says that it belongs to batch {batch}, which has ended", batch=record.batch)
            return ""
        if record.batch != self.batch:
            return phrase("it says batch {batch}, but batch {open} has not ended", batch=record.batch, open=self.batch)
        if type(record.entry) in OWN_ENTRIES:
            return phrase("a {kind} in the midst of batch {batch}", kind=type(record.entry).__name__, batch=self.batch)
        return ""

    def adopt(self, record: Record) -> None:
        """Advance to `record`, whatever came before it."""
        self.link, self.side = record.link, record.side
        self.n, self.hash = record.n, record.hash
        self.batch = None if record.ends_batch else record.batch
        self.rules = self.rules if record.rules is None else int(record.rules)

    def pass_over(self, last: int, head: str) -> None:
        """Advance to a record that ends a batch, by its number and hash; those up to it are known to follow."""
        self.n, self.hash, self.batch = last, head, None

    def skip_to(self, record: Record) -> None:
        """Take for granted all records before `record`: they are missing, or precede the log."""
        self.n, self.hash = record.n - 1, record.prev
        self.batch = record.batch if record.batch < record.n else None

    def _stranger(self, record: Record) -> str:
        if self.link is not None and record.link != self.link:
            return phrase("it is of link {link}, not {right}", link=record.link, right=self.link)
        if self.side is not None and record.side != self.side:
            return phrase("it is of side {side}, not {right}", side=record.side, right=self.side)
        return ""

    def _misplaced(self, record: Record) -> str:
        if not self.n:
            if record.n > 1 and not isinstance(record.entry, Checkpoint):
                return phrase("records 1 to {n} are missing, and it is not a checkpoint", n=record.n - 1)
            if record.n == 1 and record.prev != ORIGIN:
                return phrase("it is record 1, but names a record before it")
            return ""
        if record.n > self.n + 1:
            last = record.n - 1
            return (
                phrase("records {first} to {last} are missing", first=self.n + 1, last=last)
                if last > self.n + 1
                else phrase("record {n} is missing", n=last)
            )
        if record.n <= self.n:
            return phrase(
                "record {n} stands here, after record {before}: moved, doubled or inserted", n=record.n, before=self.n
            )
        if record.prev != self.hash:
            return phrase("it does not follow from record {n}: its prev is not that record's hash", n=self.n)
        return ""
