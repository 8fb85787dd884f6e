from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from protocol.core.effects import AnyEffect, Notify, Queue
from protocol.core.events import BatchClosed, FrameReceived
from protocol.core.link import Link
from protocol.core.observer import Observer
from protocol.core.start_events import EpochOpened, KeysEnrolled
from protocol.record.audit import Audit
from protocol.record.journal import ORIGIN, Checkpoint, Entry, Record, decode, encode
from protocol.record.replay import Divergence, Replay, SegmentReplay, SegmentRun, replay
from protocol.record.trusted_files import TrustedFile
from protocol.wire import envelope
from protocol.wire.policy import EnrolledKey
from tests.support.journal_samples import raw_state, records
from tests.support.small_day import a_day, begun
from tests.vectors.terms import EPOCH_1, enrolled, party_keys

SIDES = ("eucom", "ndmc", "watch")
KEYS = party_keys("ed25519")
TRUSTED = TrustedFile("link.toml", EPOCH_1, KEYS)


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("day")
    a_day(folder)
    return folder


@pytest.fixture(scope="module")
def long_day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, with a checkpoint every few records."""
    folder = tmp_path_factory.mktemp("long-day")
    a_day(folder, segment_bytes=4_000)
    return folder


def forged(original: list[Record], changes: Mapping[int, tuple[Entry, tuple[AnyEffect, ...]]]) -> Iterator[Record]:
    """Yield the records with some replaced, hashed anew: as a forger would who has the disk and no keys."""
    prev = ORIGIN
    for record in original:
        entry, effects = changes.get(record.n, (record.entry, record.effects))
        line, prev = encode(record.n, record.link, record.side, record.batch, entry, effects, prev)
        yield decode(line)


@pytest.mark.parametrize("side", SIDES)
def test_what_a_core_did_is_done_again(day: Path, long_day: Path, side: str) -> None:
    for folder in (day, long_day):
        result = replay(records(folder / side))
        assert result.divergence is None
        assert result.identical
        assert isinstance(result.core, Observer if side == "watch" else Link)
        assert result.compared > 10


def test_checkpoints_are_compared_with_the_fold(long_day: Path) -> None:
    original = records(long_day / "eucom")
    checkpoints = [record for record in original if isinstance(record.entry, Checkpoint)]
    assert len(checkpoints) > 3
    last = checkpoints[-1]
    assert isinstance(last.entry, Checkpoint)
    state = msgspec.json.decode(last.entry.state)
    state["epoch"]["outbox"]["last"] += 1
    changed = msgspec.structs.replace(last.entry, state=raw_state(**state))
    result = replay(forged(original, {last.n: (changed, ())}))
    assert result.divergence is not None
    assert result.divergence.record == last.n
    assert "state.epoch.outbox.last: recorded" in result.divergence.reason


def test_replay_begins_at_any_checkpoint(long_day: Path) -> None:
    original = records(long_day / "ndmc")
    for index, record in enumerate(original):
        if isinstance(record.entry, Checkpoint):
            assert replay(original[index:]).divergence is None


def test_a_changed_effect_is_the_first_divergence(day: Path) -> None:
    original = records(day / "eucom")
    target = next(record for record in original if any(isinstance(effect, Queue) for effect in record.effects))
    result = replay(forged(original, {target.n: (target.entry, target.effects[1:])}))
    assert result.divergence is not None
    assert result.divergence.record == target.n
    assert "effects[" in result.divergence.reason


def test_a_changed_event_diverges(day: Path) -> None:
    original = records(day / "ndmc")
    target = next(record for record in original if isinstance(record.entry, FrameReceived) and record.effects)
    assert isinstance(target.entry, FrameReceived)
    changed = msgspec.structs.replace(target.entry, verdict="bad_signature")
    result = replay(forged(original, {target.n: (changed, target.effects)}))
    assert result.divergence is not None
    assert result.divergence.record == target.n


def test_frames_must_carry_the_payloads_of_the_rules(day: Path) -> None:
    original = records(day / "eucom")
    sealed = [record for record in original if isinstance(record.entry, BatchClosed) and record.entry.frames]
    first, second = sealed[0], sealed[1]
    assert isinstance(first.entry, BatchClosed)
    assert isinstance(second.entry, BatchClosed)
    swapped = msgspec.structs.replace(second.entry, frames=first.entry.frames)
    result = replay(forged(original, {second.n: (swapped, second.effects)}))
    assert result.divergence is not None
    assert result.divergence.record == second.n
    assert result.divergence.reason.startswith("frame 0: payload.")
    without = msgspec.structs.replace(second.entry, frames=())
    result = replay(forged(original, {second.n: (without, second.effects)}))
    assert result.divergence is not None
    assert result.divergence.reason == "0 frames were sealed, the rules seal 1"
    opened = envelope.parse(second.entry.frames[0])
    otherwise = opened.payload.replace(b'"epoch":1', b'"epoch":2')
    signatures = [(each.keyid, each.signature) for each in opened.signatures]
    one_digit = msgspec.structs.replace(
        second.entry, frames=(envelope.seal(opened.payload_type, otherwise, signatures),)
    )
    result = replay(forged(original, {second.n: (one_digit, second.effects)}))
    assert result.divergence is not None
    assert result.divergence.reason.startswith("frame 0: payload.epoch")
    torn = msgspec.structs.replace(second.entry, frames=(b"{}",))
    result = replay(forged(original, {second.n: (torn, second.effects)}))
    assert result.divergence is not None
    assert "malformed_envelope" in result.divergence.reason


def test_what_the_rules_refuse_diverges(day: Path) -> None:
    original = records(day / "eucom")
    result = replay(original[1:2])
    assert result.core is None
    opened = original[0].entry
    assert isinstance(opened, EpochOpened)
    foreign = msgspec.structs.replace(opened, terms=msgspec.structs.replace(opened.terms, link="another"))
    result = replay(forged(original, {1: (foreign, original[0].effects)}))
    assert result.divergence is not None
    assert result.divergence.record == 1
    assert "the rules refuse this EpochOpened" in result.divergence.reason


def test_after_a_divergence_nothing_is_run_any_more(long_day: Path) -> None:
    original = records(long_day / "eucom")
    result = Replay()
    for record in original[:5]:
        result.take(record)
    result.diverge(5, "a signature")
    compared = result.compared
    for record in original[5:]:
        result.take(record)
    result.diverge(9, "later")
    assert result.divergence == Divergence(5, "a signature")
    assert result.compared == compared
    assert result.records == len(original)


def test_records_under_other_rules_are_passed_over_and_said(long_day: Path) -> None:
    original = records(long_day / "eucom")
    checkpoints = [record for record in original if isinstance(record.entry, Checkpoint)]
    third = checkpoints[2]
    changes: dict[int, tuple[Entry, tuple[AnyEffect, ...]]] = {}
    for record in checkpoints[:3]:
        assert isinstance(record.entry, Checkpoint)
        changes[record.n] = msgspec.structs.replace(record.entry, rules="1", state={"old": True}), ()
    changes[2] = original[2].entry, ()
    result = replay(forged(original, changes))
    assert result.divergence is None
    assert result.other_rules == (third.n, "1")
    assert isinstance(result.core, Link)


def test_an_unknown_core_or_a_strange_state_diverges(long_day: Path) -> None:
    original = records(long_day / "eucom")
    start = next(index for index, record in enumerate(original) if isinstance(record.entry, Checkpoint))
    record = original[start]
    assert isinstance(record.entry, Checkpoint)
    fields = msgspec.json.decode(record.entry.state)
    for changed, reason in [
        (msgspec.structs.replace(record.entry, core="Oracle"), "unknown core"),
        (msgspec.structs.replace(record.entry, state=raw_state(what=1)), "can't be restored"),
        (msgspec.structs.replace(record.entry, state=raw_state(**fields, **{"x" * 400: 1})), "restored: state.xxx"),
    ]:
        result = Replay()
        result.take(msgspec.structs.replace(record, entry=changed))
        assert result.divergence is not None
        assert reason in result.divergence.reason


# --- signatures ---------------------------------------------------------------------------------------------------


def faults(audit: Audit, given: Iterator[Record] | list[Record]) -> list[tuple[int, str]]:
    return [(record.n, wrong) for record in given if (wrong := audit.take(record))]


@pytest.mark.parametrize("side", SIDES)
def test_every_signature_of_a_day_is_good(long_day: Path, side: str) -> None:
    original = records(long_day / side)
    for given in ([], [TRUSTED]):
        audit = Audit(given)
        assert faults(audit, original) == []
        assert audit.signatures > 3
        assert audit.sealed_upto == (0 if side == "watch" else len(original) - 1)


def test_a_journal_written_anew_has_no_good_head(long_day: Path) -> None:
    original = records(long_day / "eucom")
    changed = {3: (msgspec.structs.replace(original[2].entry, mono=999), original[2].effects)}
    audit = Audit()
    found = faults(audit, forged(original, changed))
    heads = [record.n for record in original if hasattr(record.entry, "signed_head")]
    assert [record for record, reason in found if "signed head does not vouch" in reason] == heads
    assert audit.sealed_upto == 0


def test_verdicts_and_own_frames_are_verified_again(day: Path) -> None:
    original = records(day / "eucom")
    received = next(record for record in original if isinstance(record.entry, FrameReceived))
    closed = next(record for record in original if isinstance(record.entry, BatchClosed) and record.entry.frames)
    assert isinstance(received.entry, FrameReceived)
    assert isinstance(closed.entry, BatchClosed)
    frame = received.entry.frame
    changes: dict[int, tuple[Entry, tuple[AnyEffect, ...]]] = {
        received.n: (
            msgspec.structs.replace(received.entry, frame=re.sub(b'"sig":"....', b'"sig":"AAAA', frame)),
            received.effects,
        ),
        closed.n: (msgspec.structs.replace(closed.entry, frames=(frame,)), closed.effects),
    }
    found = dict(faults(Audit(), forged(original, changes)))
    assert found[received.n] == "the verdict says verified, but the frame is bad_signature"
    assert found[closed.n].startswith("our own frame 0 does not verify: ")


def test_a_link_file_of_other_keys_vouches_for_nothing(day: Path) -> None:
    original = records(day / "eucom")
    other = msgspec.structs.replace(TRUSTED, keys={"eucom": (enrolled("stranger"),), "ndmc": KEYS["ndmc"]})
    audit = Audit([other])
    found = dict(faults(audit, original))
    assert found[2].startswith("it enrols keys that are not those of the link file link.toml: eucom/eucom-1 (")
    assert any("our own frame 0 does not verify" in reason for reason in found.values())
    assert audit.sealed_upto == 0
    assert [*audit.beyond.values()] == ["link.toml"]


def test_keys_that_may_not_be_enrolled_are_said(day: Path) -> None:
    original = records(day / "eucom")
    assert isinstance(original[1].entry, KeysEnrolled)
    weak = {"eucom": (EnrolledKey("eucom-1", "ed25519", "AQ" + "A" * 41 + "="),), "ndmc": KEYS["ndmc"]}
    changed = msgspec.structs.replace(original[1].entry, keys=weak)
    found = faults(Audit(), forged(original, {2: (changed, ())}))
    assert "the enrolled keys can't be used" in found[0][1]
    broken = KEYS | {"eucom": (EnrolledKey("eucom-1", "ed25519", "not base64"),)}
    audit = Audit([TRUSTED])
    found = faults(audit, forged(original, {2: (msgspec.structs.replace(original[1].entry, keys=broken), ())}))
    assert found[0][1].startswith("it enrols keys that are not those of the link file link.toml: eucom/eucom-1 (")


def test_an_audit_begins_at_any_checkpoint(long_day: Path) -> None:
    original = records(long_day / "eucom")
    start = next(index for index, record in enumerate(original) if isinstance(record.entry, Checkpoint))
    audit = Audit([TRUSTED])
    assert faults(audit, original[start:]) == []
    assert audit.sealed_upto == len(original) - 1


def test_a_running_journal_replays_too(tmp_path: Path) -> None:
    exchange = begun(tmp_path)
    exchange.delivered("eucom")
    assert replay(records(tmp_path / "ndmc")).identical
    exchange.stop()


def segment_of(segment: Iterable[Record]) -> SegmentRun | None:
    """Run a segment again as a worker does."""
    run = SegmentReplay()
    for record in segment:
        run.take(record)
    return run.result()


def test_a_segment_that_was_run_elsewhere_is_taken_over(long_day: Path) -> None:
    original = records(long_day / "eucom")
    begins = [index for index, record in enumerate(original) if isinstance(record.entry, Checkpoint)]
    alone = replay(original)
    for first, end in ((0, begins[0]), (begins[0], begins[1]), (begins[-1], len(original))):
        run = segment_of(original[first:end])
        assert run is not None
        assert (run.first, run.last, run.head) == (original[first].n, original[end - 1].n, original[end - 1].hash)
        assert run.at == max(record.entry.at for record in original[first:end])
        result = Replay()
        for record in original[: first + 1]:
            result.take(record)
        for record in original[first + 1 : end]:
            result.count(record)
        result.adopt(run)
        for record in original[end:]:
            result.take(record)
        assert (result.records, result.compared) == (alone.records, alone.compared)
        assert result.identical
        assert result.core is not None
        assert alone.core is not None
        assert result.core.checkpoint() == alone.core.checkpoint()


def test_effects_in_which_only_the_order_of_keys_differs_are_identical(day: Path) -> None:
    original = records(day / "ndmc")
    target, told = next(
        (record, effect)
        for record in original
        for effect in record.effects
        if isinstance(effect, Notify) and effect.body is not msgspec.UNSET
    )
    assert told.body is not msgspec.UNSET
    other = msgspec.structs.replace(told, body=dict(reversed(told.body.items())))
    effects = tuple(other if effect is told else effect for effect in target.effects)
    assert replay(forged(original, {target.n: (target.entry, effects)})).identical


def in_segments(journal: list[Record]) -> list[list[Record]]:
    """Part a journal before each checkpoint."""
    begins = [0, *(index for index, record in enumerate(journal) if isinstance(record.entry, Checkpoint))]
    return [journal[first:end] for first, end in pairwise([*begins, len(journal)])]


def take_over(result: Replay, segment: list[Record]) -> None:
    run = segment_of(segment)
    assert run is not None
    assert result.begin(segment[0])
    for record in segment[1:]:
        result.count(record)
    result.adopt(run)


def test_segments_that_follow_each_other_are_taken_over(long_day: Path) -> None:
    original = records(long_day / "eucom")
    alone, result = replay(original), Replay()
    for segment in in_segments(original):
        take_over(result, segment)
    assert (result.records, result.compared, result.identical) == (alone.records, alone.compared, True)
    assert result.core is not None
    assert alone.core is not None
    assert result.core.checkpoint() == alone.core.checkpoint()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"state": msgspec.Raw(b"{}")}, "the checkpoint: state."),
        ({"core": "Observer"}, "the checkpoint can't be restored: "),
        ({"core": "Gone"}, "a checkpoint of an unknown core: 'Gone'"),
        ({"rules": "4"}, ""),
    ],
)
def test_a_checkpoint_behind_a_segment_that_was_taken_over_is_compared(
    long_day: Path, changes: dict[str, Any], reason: str
) -> None:
    segment, (checkpoint, *_), *_ = in_segments(records(long_day / "eucom"))
    result = Replay()
    take_over(result, segment)
    entry = msgspec.structs.replace(checkpoint.entry, **changes)
    assert not result.begin(msgspec.structs.replace(checkpoint, entry=entry))
    assert (result.divergence.reason if result.divergence else "").startswith(reason)
    assert result.identical == (not reason)


def test_only_the_whole_journal_says_what_differs(day: Path, long_day: Path) -> None:
    original = records(day / "eucom")
    target = next(record for record in original if any(isinstance(effect, Queue) for effect in record.effects))
    assert segment_of(forged(original, {target.n: (target.entry, target.effects[1:])})) is None
    assert segment_of(original[1:]) is None
    assert segment_of([]) is None
    checkpoint = next(record for record in records(long_day / "eucom") if isinstance(record.entry, Checkpoint))
    older = msgspec.structs.replace(checkpoint, entry=msgspec.structs.replace(checkpoint.entry, rules="4"))
    assert segment_of([older]) is None
