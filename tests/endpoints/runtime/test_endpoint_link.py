"""A running link: nothing leaves before it is on disk, floods are counted, every delivery is acknowledged."""

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
from msgspec import UNSET, structs

from endpoints.errors import UserError
from endpoints.journal.restored import Restored, RestoredMark
from endpoints.journal.segments import segments
from endpoints.journal.store import FolderStore
from endpoints.journal.writer import JournalWriter
from endpoints.keys.signer import Signer
from endpoints.mqtt.topics import Topic
from endpoints.runtime.endpoint_link import EndpointLink
from endpoints.runtime.ports import Now
from endpoints.runtime.rate_limits import (
    IDLE_BURST_BYTES,
    IDLE_RATE_BYTES,
    PAYLOADS_REMEMBERED,
    REFUSALS_PER_WINDOW,
    WINDOW_S,
    Allowance,
    FrameLimits,
    PresenceCap,
)
from endpoints.runtime.work_items import FrameItem
from protocol.core.duty import OwnWords
from protocol.core.events import CredentialsRefused, FrameReceived, Started, TransportConnected
from protocol.core.link import Link
from protocol.core.start_events import WordsChosen
from protocol.record.journal import decode
from protocol.wire.envelope import seal
from protocol.wire.instants import parsed
from protocol.wire.messages import MESSAGE_TYPE
from protocol.wire.policy import Terms
from protocol.wire.refusals import VERIFIED
from tests.support.exchange import Notices, link_file
from tests.support.failing_disk import refuse_writes
from tests.support.journal_samples import fields_of, raw_state, records
from tests.vectors.streams import STREAM
from tests.vectors.terms import EPOCH_1, KEYS, message_frame

BEGIN = Now(at=parsed("2022-11-29T08:00:00.000Z"), mono=1_000, real_s=1)
TOPIC = Topic("eucom-ndmc", "eucom", "message")


class Outlet:
    """Keeps what would be published, and what the journal held then."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.published: list[tuple[str, bytes]] = []

    def publish(self, topic: Topic, payload: bytes, token: object) -> bool:
        del token
        written = b"".join(path.read_bytes() for path in self._folder.glob("*.jsonl"))
        self.published.append((topic.channel, written.rstrip(b"\0")))
        assert payload
        return True

    def leave(self, link: str) -> None:
        raise AssertionError(f"{link} is left")


def ndmc_runner(
    folder: Path,
    terms: Terms = EPOCH_1,
    core: Link | None = None,
    words: OwnWords | None = None,
    limits: FrameLimits | None = None,
    restored: RestoredMark | None = None,
) -> tuple[EndpointLink, Outlet]:
    outlet = Outlet(folder)
    runner = EndpointLink(
        core or Link.new("eucom-ndmc", "ndmc"),
        JournalWriter.open(FolderStore(folder), "eucom-ndmc", "ndmc"),
        link_file(terms),
        Notices(),
        signer=Signer({"ndmc-1": KEYS["ndmc"][1]}),
        outlet=outlet,
        words=words,
        limits=limits,
        restored=restored,
    )
    return runner, outlet


def turn(runner: EndpointLink, now: Now) -> None:
    runner.commit(now)
    runner.perform(now)


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[tuple[EndpointLink, Outlet]]:
    runner, outlet = ndmc_runner(tmp_path / "journal")
    runner.start(BEGIN)
    runner.take(TransportConnected(at=BEGIN.at, mono=BEGIN.mono))
    turn(runner, BEGIN)
    outlet.published.clear()
    yield runner, outlet
    runner.close(BEGIN)


def test_own_words_are_journaled_when_they_differ_and_before_the_start(tmp_path: Path) -> None:
    """SPEC B2.4"""
    core = Link.new("eucom-ndmc", "ndmc")
    found: list[tuple[object, ...]] = []
    for words in (OwnWords("Говорит Москва."), OwnWords("Говорит Москва."), OwnWords(None, "Слышу."), None, None):
        runner, _ = ndmc_runner(tmp_path, core=core, words=words)
        runner.start(BEGIN)
        turn(runner, BEGIN)
        runner.close(BEGIN)
        assert core.words == (words or OwnWords())
    for record in records(tmp_path):
        if isinstance(record.entry, WordsChosen):
            found.append((record.entry.test_text, record.entry.answer_text))
        elif isinstance(record.entry, Started):
            found.append(("started",))
    assert found == [
        ("Говорит Москва.", UNSET),
        ("started",),
        ("started",),
        (UNSET, "Слышу."),
        ("started",),
        (UNSET, UNSET),
        ("started",),
        ("started",),
    ]


async def test_a_receipt_leaves_after_its_record_is_on_disk(opened: tuple[EndpointLink, Outlet]) -> None:
    """SPEC R2, Q1.2"""
    runner, outlet = opened
    done: list[str] = []
    item = FrameItem(runner, TOPIC, message_frame("eucom", STREAM[:1]), partial(done.append, "acknowledged"))
    item.take(BEGIN)
    assert outlet.published == []
    runner.commit(BEGIN)
    assert outlet.published == []
    runner.perform(BEGIN)
    ((channel, on_disk),) = outlet.published
    assert channel == "receipt"
    assert b'"event":"FrameReceived"' in on_disk
    assert on_disk.endswith(b"\n")
    assert done == []
    item.settle()
    assert done == ["acknowledged"]


async def test_nothing_leaves_of_a_batch_that_is_not_on_disk(
    opened: tuple[EndpointLink, Outlet], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SPEC R2: and the frame stays with the broker."""
    runner, outlet = opened
    left: list[str] = []
    monkeypatch.setattr(outlet, "leave", left.append)
    done: list[str] = []
    item = FrameItem(runner, TOPIC, message_frame("eucom", STREAM[:1]), partial(done.append, "acknowledged"))
    item.take(BEGIN)
    refuse_writes(segments(tmp_path / "journal")[-1])
    turn(runner, BEGIN)
    item.settle()
    assert runner.failure is not None
    assert left == ["eucom-ndmc"]
    assert outlet.published == []
    assert done == []


async def test_the_mark_of_a_restored_journal_stays_until_the_start_is_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SPEC E2.3"""
    folder = tmp_path / "journal"
    first, _ = ndmc_runner(folder)
    first.start(BEGIN)
    turn(first, BEGIN)
    first.close(BEGIN)
    RestoredMark(folder).write(
        Restored(restored_at="2022-11-29T08:00:00.000Z", source="backup", records=3, head="ab" * 32, epoch=1)
    )
    again, outlet = ndmc_runner(folder, structs.replace(EPOCH_1, epoch=2), first.core, restored=RestoredMark(folder))
    monkeypatch.setattr(outlet, "leave", [].append)
    again.start(BEGIN)
    refuse_writes(segments(folder)[-1])
    turn(again, BEGIN)
    assert again.failure is not None
    assert RestoredMark(folder).read() is not None


@pytest.mark.parametrize("frame", [b"", b"\xff", message_frame("ndmc", STREAM[:1]), b"x" * 200_000])
async def test_a_refused_frame_is_acknowledged_to_the_broker(opened: tuple[EndpointLink, Outlet], frame: bytes) -> None:
    """SPEC M6.1, M6.3"""
    runner, outlet = opened
    done: list[str] = []
    item = FrameItem(runner, TOPIC, frame, partial(done.append, "acknowledged"))
    item.take(BEGIN)
    turn(runner, BEGIN)
    item.settle()
    assert done == ["acknowledged"]
    assert outlet.published == []
    assert fields_of(runner.core)["epoch"]["inbox"]["upto"] == 0
    assert "bad_frames/eucom" in fields_of(runner.core)["alarms"]


async def test_a_flood_is_counted_in_one_record(opened: tuple[EndpointLink, Outlet], tmp_path: Path) -> None:
    """SPEC M6.2"""
    runner, _ = opened
    for number in range(500):
        runner.receive(TOPIC, b"flood %d" % number, BEGIN)
    turn(runner, BEGIN)
    later = Now(at=BEGIN.at + 60_000, mono=BEGIN.mono + 60_000, real_s=BEGIN.real_s + WINDOW_S)
    runner.tick(later)
    turn(runner, later)
    journal = b"".join(path.read_bytes() for path in (tmp_path / "journal").glob("*.jsonl"))
    assert journal.count(b'"event":"FrameReceived"') == REFUSALS_PER_WINDOW
    assert journal.count(b'"event":"FramesSuppressed"') == 1
    assert b'"count":490' in journal


async def test_wrong_credentials_are_counted_in_one_record_beyond_ten_a_minute(
    opened: tuple[EndpointLink, Outlet], tmp_path: Path
) -> None:
    """SPEC W3"""
    runner, _ = opened
    for _ in range(12):
        runner.credential_refused("uid-1000", BEGIN)
    runner.credential_refused("uid-2000", BEGIN)
    later = Now(at=BEGIN.at + 60_000, mono=BEGIN.mono + 60_000, real_s=BEGIN.real_s + WINDOW_S)
    runner.tick(later)
    for _ in range(REFUSALS_PER_WINDOW + 3):
        runner.credential_refused("uid-1000", later)
    runner.stop(later)
    turn(runner, later)
    written = (line for path in (tmp_path / "journal").glob("*.jsonl") for line in path.read_bytes().splitlines())
    records = [decode(line).entry for line in written if b'"event":"CredentialsRefused"' in line]
    counts = [(each.source, each.count) for each in records if isinstance(each, CredentialsRefused)]
    one_by_one = [("uid-1000", 1)] * REFUSALS_PER_WINDOW
    assert counts == [*one_by_one, ("uid-2000", 1), ("uid-1000", 2), *one_by_one, ("uid-1000", 3)]


async def test_other_terms_under_the_same_epoch_do_not_start(tmp_path: Path) -> None:
    """SPEC E1.1"""
    runner, _ = ndmc_runner(tmp_path / "journal")
    runner.start(BEGIN)
    other = structs.replace(EPOCH_1, policy=structs.replace(EPOCH_1.policy, grace_s=901))
    again, _ = ndmc_runner(tmp_path / "other", other, runner.core)
    with pytest.raises(UserError, match="use deconflict link amend"):
        again.start(BEGIN)
    newer = fields_of(runner.core)
    newer["epoch"]["terms"]["epoch"] = 2
    older, _ = ndmc_runner(tmp_path / "older", EPOCH_1, Link.restore(raw_state(**newer)))
    with pytest.raises(UserError, match="in epoch 2 already"):
        older.start(BEGIN)


# --- rate limits --------------------------------------------------------------------------------------------------


def received(frame: bytes, verdict: str = VERIFIED, sender: str = "eucom") -> FrameReceived:
    return FrameReceived(at=BEGIN.at, mono=BEGIN.mono, channel="message", sender=sender, frame=frame, verdict=verdict)


def variant(number: int, seq: int = 0) -> bytes:
    """Return a frame of message `seq`, with another key id for each number."""
    return seal(MESSAGE_TYPE, b"%d" % seq, [(str(number), bytes(64))])


def test_refusals_are_admitted_ten_times_a_window_for_each_reason() -> None:
    """SPEC M6.2"""
    limits = FrameLimits()
    frame = received(b"x", "bad_signature")
    admitted = [limits.admits(frame, "bad_signature", 0) for _ in range(12)]
    assert admitted == [True] * REFUSALS_PER_WINDOW + [False] * 2
    assert limits.admits(received(b"x", "too_large"), "too_large", 59)
    assert limits.due(WINDOW_S - 1) == {}
    assert limits.due(WINDOW_S) == {"bad_signature": 2}
    assert limits.due(2 * WINDOW_S) == {}
    assert limits.admits(frame, "bad_signature", 2 * WINDOW_S)


def test_the_bytes_of_refused_frames_are_bounded_for_each_reason() -> None:
    """SPEC M6.2"""
    limits = FrameLimits()
    large = received(b"x" * (IDLE_BURST_BYTES // 2), "bad_signature")
    assert [limits.admits(large, "bad_signature", 0) for _ in range(3)] == [True, True, False]
    assert limits.flush() == {"bad_signature": 1}
    assert limits.admits(large, "too_large", 0)
    later = len(large.frame) // IDLE_RATE_BYTES + 1
    assert not limits.admits(large, "bad_signature", later - 2)
    assert limits.admits(large, "bad_signature", later)
    assert not limits.admits(large, "bad_signature", later)


def test_an_allowance_is_never_more_than_its_burst() -> None:
    allowance = Allowance(100, 1)
    assert allowance.take(100, 1_000)
    assert not allowance.take(1, 1_000)
    assert allowance.take(50, 1_050)
    assert not allowance.take(101, 9_000)
    assert allowance.take(100, 9_000)


def test_other_bytes_around_a_known_payload_are_altered() -> None:
    """SPEC M4.1, M6.2: of the same sender and channel, and only if they verify."""
    limits = FrameLimits()
    assert limits.admits(received(variant(0)), "", 0)
    assert limits.admits(received(variant(0)), "repeated", 0)
    for number in range(1, 20):
        limits.admits(received(variant(number)), "repeated", 0)
    assert limits.admits(received(variant(1, seq=1)), "outdated", 0)
    assert limits.admits(received(variant(1), sender="ndmc"), "repeated", 0)
    assert limits.admits(received(variant(2), "bad_signature"), "bad_signature", 0)
    assert limits.flush() == {"altered": 19 - REFUSALS_PER_WINDOW}
    # a frame that was not verified says nothing about its payload
    assert limits.admits(received(variant(1, seq=2), "bad_signature"), "bad_signature", 0)
    assert limits.admits(received(variant(2, seq=2)), "", 0)
    assert all(limits.admits(received(variant(2, seq=2)), "repeated", 0) for _ in range(5))
    # the oldest payloads are forgotten
    for seq in range(3, 3 + PAYLOADS_REMEMBERED):
        assert limits.admits(received(variant(0, seq)), "", 0)
    assert limits.admits(received(variant(9)), "repeated", 0)
    assert limits.flush() == {}


async def test_frames_with_effect_are_bounded_in_the_long_run(tmp_path: Path) -> None:
    """SPEC M6.2: what is beyond the bound gets no receipt, so an honest author sends it again."""
    frames = [message_frame("eucom", [message]) for message in STREAM[:2]]
    limits = FrameLimits(Allowance(len(frames[1]), 1))
    runner, _ = ndmc_runner(tmp_path / "journal", limits=limits)
    runner.start(BEGIN)
    later = Now(at=BEGIN.at + 60_000, mono=BEGIN.mono + 60_000, real_s=BEGIN.real_s + WINDOW_S)
    for frame in frames:
        runner.receive(TOPIC, frame, BEGIN)
    assert fields_of(runner.core)["epoch"]["inbox"]["upto"] == 1
    runner.tick(later)
    assert "bad_frames/any" in fields_of(runner.core)["alarms"]
    much_later = structs.replace(later, real_s=later.real_s + len(frames[1]))
    runner.receive(TOPIC, frames[1], much_later)
    assert fields_of(runner.core)["epoch"]["inbox"]["upto"] == 2
    turn(runner, later)
    journal = b"".join(path.read_bytes() for path in (tmp_path / "journal").glob("*.jsonl"))
    assert b'"event":"FramesSuppressed","reason":"overload","count":1' in journal
    runner.close(later)


def test_presence_that_flaps_changes_rarely() -> None:
    """SPEC Q2.4"""
    cap = PresenceCap()
    assert cap.due(0) is None
    cap.see(present=True)
    assert cap.due(0) is True
    cap.see(present=False)
    assert cap.due(4) is None
    cap.see(present=True)
    assert cap.due(100) is None
    cap.see(present=False)
    assert cap.due(100) is False


def test_signs_of_life_that_stay_out_outweigh_what_the_broker_says() -> None:
    """SPEC Q2.5"""
    cap = PresenceCap()
    cap.hear(100.5)
    assert cap.due(100) is True
    # none is expected of a party that has never sent one
    assert [cap.due_s] == [None]
    cap.sign(1_000, 101.0)
    assert cap.due_s == 151
    cap.hear(149.0)
    assert cap.due(150) is None
    assert cap.due(151) is False
    assert [cap.silent] == [True]
    assert [cap.due_s] == [None]
    # what the broker says, or plays back, is none
    cap.hear(152.0)
    cap.sign(1_000, 152.0)
    assert cap.due(160) is None
    cap.sign(1_001, 160.0)
    assert cap.due(160) is True
    assert cap.due_s == 210


def test_signs_of_life_are_expected_over_each_later_connection() -> None:
    """SPEC Q2.5"""
    cap = PresenceCap()
    cap.hear(0.0)
    cap.sign(1_000, 0.0)
    assert cap.due(0) is True
    cap.forget()
    assert cap.due(1_000) is None
    cap.hear(1_000.0)
    assert cap.due(1_000) is True
    assert cap.due(1_050) is False
    # another signed word is as good
    cap.word(1_060.0)
    assert cap.due(1_060) is True
    other = PresenceCap()
    other.inherit(cap)
    assert other.due(1_109) is True
    assert other.due(1_115) is False


def test_a_flood_of_signs_of_life_is_rarely_verified() -> None:
    cap = PresenceCap()
    assert [cap.may_check(each / 4) for each in range(6)] == [True, False, False, False, True, False]
