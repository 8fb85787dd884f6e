import json
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from protocol.core.alarms import Alarm, AlarmCode
from protocol.core.effects import AnyEffect, Apply, RaiseAlarm
from protocol.core.events import BatchClosed, FrameReceived, SlotsPlanned, SpaceLow, TransportLost
from protocol.core.start_events import EpochOpened, JournalRestored, LinkConfirmed
from protocol.errors import JournalError
from protocol.record.journal import ORIGIN, Chain, Closed, Entry, claimed_hash, decode, encode, head_payload
from protocol.wire.messages import Message
from tests.support.journal_samples import LINK, NOON, SIDE, batch, checkpoint, closed, lines_of
from tests.support.world import terms

AT: dict[str, Any] = {"at": NOON, "mono": 0}
LINES = lines_of([batch(0), batch(1), batch(2), closed(3)])


def take_all(lines: list[bytes]) -> None:
    chain = Chain(LINK, SIDE)
    for line in lines:
        chain.take(line.removesuffix(b"\n"))


def rehashed(line: bytes) -> bytes:
    body = line.rstrip(b"\n")[: -len(',"hash":""}') - 64]
    return b'%b,"hash":"%b"}' % (body, sha256(body).hexdigest().encode())


def test_a_line_has_its_fields_in_order() -> None:
    line = LINES[0].removesuffix(b"\n")
    fields = json.loads(line)
    names = ["n", "link", "side", "batch", "at", "mono", "event", "software", "slots", "slots_until", "tzdata"]
    assert list(fields) == [*names, "effects", "prev", "hash"]
    assert fields["at"] == "2022-11-29T10:00:00.000Z"
    assert fields["hash"] == sha256(line[: -len(f',"hash":"{fields["hash"]}"}}')]).hexdigest()
    assert fields["prev"] == ORIGIN
    assert json.loads(LINES[1])["prev"] == fields["hash"]


def test_records_decode_to_what_was_encoded() -> None:
    entries = [entry for each in (batch(0), batch(1), batch(2), closed(3)) for entry in each]
    records = [decode(line.removesuffix(b"\n")) for line in LINES]
    assert [(record.entry, record.effects) for record in records] == entries
    assert [record.n for record in records] == list(range(1, len(LINES) + 1))
    assert [record.batch for record in records] == [1, 1, 1, 4, 4, 6, 6, 8]


def test_an_intact_journal_is_accepted() -> None:
    take_all(LINES)
    take_all(lines_of([checkpoint(1), batch(1)], n=500, prev="ab" * 32))


def test_every_flipped_bit_is_detected() -> None:
    for number, line in enumerate(LINES, 1):
        for index in range(len(line) - 1):
            for bit in range(8):
                changed = bytearray(line[:-1])
                changed[index] ^= 1 << bit
                with pytest.raises(JournalError) as raised:
                    decode(bytes(changed), number)
                assert raised.value.record == number


@given(st.data())
def test_a_removed_doubled_or_moved_line_is_detected(data: st.DataObject) -> None:
    lines = list(LINES)
    index = data.draw(st.integers(0, len(lines) - 1))
    line = lines.pop(index)
    to = data.draw(st.integers(0, len(lines)))
    if to == index:
        lines[index:index] = [line, line]
    elif data.draw(st.booleans()) and index < len(lines):
        pass
    else:
        lines.insert(to, line)
    with pytest.raises(JournalError):
        take_all(lines)


def test_errors_give_the_record_and_the_reason() -> None:
    with pytest.raises(JournalError, match=r"^record 3 is missing$"):
        take_all(LINES[:2] + LINES[3:])
    with pytest.raises(JournalError, match=r"^records 3 to 4 are missing$"):
        take_all(LINES[:2] + LINES[4:])
    with pytest.raises(JournalError, match=r"^record 3: record 2 stands here, after record 2: moved, doubled"):
        take_all(LINES[:2] + LINES[1:])
    with pytest.raises(JournalError, match=r"^record 2: records 1 to 1 are missing, and it is not a checkpoint$"):
        take_all(LINES[1:])
    with pytest.raises(JournalError, match=r"^record 1: it is of link other, not eucom-ndmc$"):
        take_all(lines_of([batch(0)], link="other"))
    with pytest.raises(JournalError, match=r"^record 1: it is of side ndmc, not eucom$"):
        take_all(lines_of([batch(0)], side="ndmc"))
    with pytest.raises(JournalError, match=r"^record 4: it does not follow from record 3: its prev is not"):
        take_all(LINES[:3] + lines_of([batch(1)], n=4))
    with pytest.raises(JournalError, match=r"^record 1: it is record 1, but names a record before it$"):
        take_all(lines_of([batch(0)], prev="1" * 64))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda line: line[:-1], "it is cut, or its end was changed"),
        (lambda line: line[:40], "it is cut, or its end was changed"),
        (lambda line: line + b" ", "it is cut, or its end was changed"),
        (lambda line: line[:0], "it is cut, or its end was changed"),
        (lambda line: line.replace(b"Started", b"Stopped"), "its bytes do not give its hash"),
        (lambda line: line[:50] + bytes(20) + line[70:], "there is a hole of NUL bytes in it"),
        (lambda line: rehashed(line.replace(b'"n":1,', b'"n": 1,')), "not written as a journal writes it"),
        (lambda line: rehashed(line.replace(b'"n":1,', b'"n":1,"n":1,')), "not written as a journal writes it"),
        (lambda line: rehashed(line.replace(b'"Started"', b'"St\\u0061rted"')), "not written as a journal writes it"),
        (lambda line: rehashed(line.replace(b'"Started"', b'"Dreamt"')), "not a record: Invalid value 'Dreamt'"),
        (lambda line: rehashed(line.replace(b"T10:00", b"T25:00")), "not a record"),
        (lambda line: rehashed(line.replace(b'"n":1,', b'"n":0,')), "not a record: Expected `int` >= 1"),
        (lambda line: rehashed(line.replace(b'"mono":0,', b'"mono":0,"more":0,')), "unknown field `more`"),
        (lambda line: rehashed(line.replace(b"2026.1", b"\xff\xfe")), "not a record"),
        (lambda line: rehashed(b"[" * 100_000 + line), "not a record"),
    ],
)
def test_a_line_that_is_not_a_record_is_refused(change: object, reason: str) -> None:
    assert callable(change)
    with pytest.raises(JournalError, match=reason):
        decode(change(LINES[0].removesuffix(b"\n")), 1)


EXISTS, NEVER = "2022-02-28T10:00:00.000Z", "2022-02-30T10:00:00.000Z"
DIGEST = "ab" * 32


def alarm(instant: str) -> Alarm:
    return Alarm(code=AlarmCode.FORK, subject="ndmc", severity="critical", raised_at=instant, detected_at=EXISTS)


@pytest.mark.parametrize(
    "made",
    [
        lambda it: (LinkConfirmed(**AT, officer="duty-1", digest=DIGEST, compared_at=it, first_word=7), ()),
        lambda it: (JournalRestored(**AT, restored_at=it, records=1, head=DIGEST), ()),
        lambda it: (SlotsPlanned(**AT, slots=(it,), slots_until="2022-12-13T10:00:00.000Z", tzdata="1"), ()),
        lambda it: (BatchClosed(**AT), (RaiseAlarm(alarm=alarm(it)),)),
        lambda it: (
            BatchClosed(**AT),
            (Apply(sender="ndmc", message=Message(seq=1, prev=DIGEST, at=it, body={})),),
        ),
    ],
)
def test_an_instant_that_the_calendar_does_not_have_is_in_no_record(
    made: Callable[[str], tuple[Entry, tuple[AnyEffect, ...]]],
) -> None:
    """Readers calculate with instants and print them."""
    with pytest.raises(JournalError, match="could not be read again: day is out of range for month"):
        lines_of([[made(NEVER)]])
    line = lines_of([[made(EXISTS)]])[0].removesuffix(b"\n")
    decode(line)
    with pytest.raises(JournalError, match="not a record: day is out of range for month"):
        decode(rehashed(line.replace(EXISTS.encode(), NEVER.encode(), 1)))


def test_the_version_of_the_rules_never_falls() -> None:
    """An older version refuses to continue, so such a journal is forged: its replay would leave the records out."""
    opened = EpochOpened(at=NOON, mono=0, terms=terms(), rules="10")
    ended = BatchClosed(at=NOON, mono=0)
    for rules, wrong in (("10", ""), ("11", ""), ("9", "it names rules 9 after records of rules 10")):
        later = structs.replace(checkpoint(0)[0][0], rules=rules)
        lines = lines_of([[(opened, ()), (ended, ())], [(later, ())]])
        if wrong:
            with pytest.raises(JournalError, match=f"^record 3: {wrong}"):
                take_all(lines)
        else:
            take_all(lines)


@pytest.mark.parametrize("rules", ["", "0", "01", "-1", "1.0", "²", "1000000", "next"])
def test_rules_are_a_number(rules: str) -> None:
    for entry in (
        EpochOpened(at=NOON, mono=0, terms=terms(), rules=rules),
        structs.replace(checkpoint(0)[0][0], rules=rules),
    ):
        with pytest.raises(JournalError, match="matching regex"):
            encode(1, LINK, SIDE, 1, entry, (), ORIGIN)


def test_batches_end_before_the_next_one_begins() -> None:
    first, other = batch(0), batch(1)
    one, prev = encode(1, LINK, SIDE, 1, first[0][0], (), ORIGIN)
    cases: list[tuple[Entry, int, str]] = [
        (other[0][0], 2, "it says batch 2, but batch 1 has not ended"),
        (checkpoint(1)[0][0], 1, "a Checkpoint in the midst of batch 1"),
        (closed(1)[0][0], 1, "a Closed in the midst of batch 1"),
    ]
    for entry, number, reason in cases:
        line, _ = encode(2, LINK, SIDE, number, entry, (), prev)
        with pytest.raises(JournalError, match=reason):
            take_all([one, line])
    last, prev = encode(2, LINK, SIDE, 1, BatchClosed(at=NOON, mono=1), (), prev)
    after, _ = encode(3, LINK, SIDE, 1, BatchClosed(at=NOON, mono=1), (), prev)
    with pytest.raises(JournalError, match="it says that it belongs to batch 1, which has ended"):
        take_all([one, last, after])


def test_encode_refuses_a_record_that_could_not_be_decoded() -> None:
    entries: list[Entry] = [
        FrameReceived(at=NOON, mono=1, channel="message", sender="Not An Identifier", frame=b"", verdict="verified"),
        SpaceLow(at=NOON, mono=1, free_bytes=-1),
        TransportLost(at=NOON, mono=1, reason="\ud800"),
        TransportLost(at=10**18, mono=1, reason=""),
    ]
    for entry in entries:
        with pytest.raises(JournalError, match="could not be read again"):
            encode(1, LINK, SIDE, 1, entry, (), ORIGIN)


def test_claimed_hash_reads_the_hash_of_a_damaged_line() -> None:
    assert claimed_hash(LINES[0].removesuffix(b"\n").replace(b"Started", b"Stopped")) == json.loads(LINES[0])["hash"]
    assert claimed_hash(b"") is None
    assert isinstance(decode(LINES[-1].removesuffix(b"\n")).entry, Closed)


def test_the_signed_head_is_canonical() -> None:
    payload = b'{"hash":"%b","link":"eucom-ndmc","n":7,"side":"eucom"}' % (b"a" * 64)
    assert head_payload(LINK, SIDE, 7, "a" * 64) == payload
