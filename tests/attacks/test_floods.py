"""Floods: what a broker can make of captured frames, and what a peer can sign without end, grows no journal for long.

The services are the product's own link runners over real journals. A flood's turns take up to 256 frames, as the loop's
do.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from endpoints.config import default_terms
from endpoints.config.link_file import LinkFile
from endpoints.keys.signer import Signer
from endpoints.runtime import rate_limits
from endpoints.runtime.loop import BATCH_MAX_ITEMS
from protocol.core.events import FramesSuppressed, TransportConnected, TransportLost
from protocol.wire import canonical
from protocol.wire.digests import genesis, policy_digest
from protocol.wire.envelope import PAYLOAD_TYPES, Channel
from protocol.wire.instants import written
from protocol.wire.messages import Claim, Message, MessagePayload, ReceiptPayload
from protocol.wire.policy import Terms
from tests.attacks.scene import Scene, alert
from tests.golden.continuing import deconflict
from tests.support.exchange import WATCH, Exchange, Service
from tests.support.journal_samples import fields_of, records
from tests.support.world import MINUTE, SECOND, START, Frame
from tests.vectors.terms import EPOCH_1, HYBRID, KEYS, party_keys

MIB = 2**20
VARIANTS = 1_500
SUITES = ["ed25519", HYBRID]
LONG = {"ru": "Обстрел " * 490, "en": "Shelling " * 440}
"""The texts of a long alert."""
SIDES = ("eucom", "ndmc")
SIGNERS = {
    "ed25519": {side: Signer({KEYS[side][2]: KEYS[side][1]}) for side in SIDES},
    HYBRID: {
        side: Signer({KEYS[name][2]: KEYS[name][1] for name in (side, f"{side} ml-dsa-65")}, HYBRID) for side in SIDES
    },
}


def exchange(folder: Path, suite: str = "ed25519", *, watch: bool = True) -> Exchange:
    """Return a started exchange of a suite, in `folder`."""
    terms = structs.replace(EPOCH_1, policy=structs.replace(EPOCH_1.policy, suite=suite))
    keys = party_keys(suite)
    file = LinkFile(
        terms=terms, parties={side: structs.replace(default_terms.party(side), keys=keys[side]) for side in keys}
    )
    made = Exchange(folder, file, signers=SIGNERS[suite], at=START, watch=watch)
    made.open()
    made.start()
    return made


def receipted(service: Service) -> int:
    """Return how many of a side's messages are receipted."""
    ours = service.core.snapshot().ours
    assert ours is not None
    return ours.receipted


def size(service: Service) -> int:
    """Return the bytes of a service's journal, without the space that it reserves ahead."""
    return sum(len(path.read_bytes().rstrip(b"\0")) for path in service.folder.glob("*.jsonl"))


def flood(service: Service, frames: list[Frame]) -> int:
    """Let frames arrive as fast as the loop takes them, and the minute end; return by how much the journal grew."""
    before = size(service)
    for at in range(0, len(frames), BATCH_MAX_ITEMS):
        for frame in frames[at : at + BATCH_MAX_ITEMS]:
            service.receive(frame)
        service.turn()
    service.world.at += rate_limits.WINDOW_S * SECOND
    service.wake()
    return size(service) - before


def alarms(service: Service) -> list[str]:
    """Return the active alarms."""
    return [f"{alarm.code}/{alarm.subject}" for alarm in service.core.snapshot().alarms if alarm.active]


def suppressed(service: Service) -> dict[str, int]:
    """Return how many frames were counted instead of journaled, by reason."""
    found: dict[str, int] = {}
    for record in records(service.folder):
        if isinstance(record.entry, FramesSuppressed):
            found[record.entry.reason] = found.get(record.entry.reason, 0) + record.entry.count
    return found


def captured(made: Exchange, side: str = "eucom", alerts: int = 1, **fields: Any) -> Frame:
    """Return the frame in which a side's alerts left, once it has arrived everywhere."""
    for _ in range(alerts):
        made.alert(side, **fields)
    made.end(side).turn()
    frame = made.end(side).outgoing[-1]
    made.settle()
    return frame


def variants(frame: Frame, *extra: dict[str, str]) -> Iterator[Frame]:
    """Yield the frame with further signatures, each time with other ids of keys."""
    envelope = json.loads(frame.frame)
    for number in count():
        more = [each | {"keyid": f"{each['keyid']}{number}"} for each in extra]
        yield frame._replace(frame=canonical.encode(envelope | {"signatures": [*envelope["signatures"], *more]}))


def junk(length: int) -> dict[str, str]:
    """Return a signature of no key, of this length."""
    return {"keyid": "x", "sig": b64encode(bytes(length)).decode()}


def some(frames: Iterator[Frame], number: int = VARIANTS) -> list[Frame]:
    """Return the first frames."""
    return [next(frames) for _ in range(number)]


# --- one captured frame -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("junk_bytes", [64, 3_309, 1_000])
def test_variants_of_one_captured_frame_do_not_fill_the_disk(tmp_path: Path, suite: str, junk_bytes: int) -> None:
    """SPEC F1.1, M6.2: the issue's example, with signatures of either length and of neither, at both readers."""
    made = exchange(tmp_path, suite)
    frame = captured(made, alerts=2, text=LONG)
    extra = [junk(junk_bytes)] * 6
    for reader in (made.ndmc, made.end(WATCH)):
        grown = flood(reader, some(variants(frame, *extra)))
        assert grown < MIB, grown
        assert "bad_frames/any" in alarms(reader)
        reason = "malformed_envelope" if junk_bytes == 1_000 else "altered"
        assert suppressed(reader)[reason] >= VARIANTS - rate_limits.REFUSALS_PER_WINDOW


def test_variants_that_arrive_before_the_true_frame_neither_fill_the_disk_nor_replace_it(tmp_path: Path) -> None:
    """SPEC M6.2: the first variant is the message; the true frame is one of its variants then."""
    made = exchange(tmp_path, watch=False)
    made.alert("eucom", text=LONG)
    made.eucom.turn()
    (frame,) = made.eucom.outgoing
    made.eucom.outgoing.clear()
    assert flood(made.ndmc, some(variants(frame, junk(64), junk(64)))) < MIB
    assert "bad_frames/any" in alarms(made.ndmc)
    made.ndmc.receive(frame)
    made.settle()
    assert receipted(made.eucom) == 1
    assert len(made.ndmc.core.snapshot().alerts) == 1


def test_variants_over_many_hours_stay_bounded(tmp_path: Path) -> None:
    """SPEC M6.2: the broker needs no hurry. Sixty variants a minute for an hour."""
    made = exchange(tmp_path, watch=False)
    each = variants(captured(made, text=LONG), junk(3_309), junk(3_309))
    grown = sum(flood(made.ndmc, some(each, 60)) for _ in range(60))
    assert grown < MIB, grown
    assert "bad_frames/any" in alarms(made.ndmc)


@pytest.mark.parametrize("channel", ["message", "receipt"])
def test_refused_frames_of_the_largest_size_do_not_fill_the_disk(tmp_path: Path, channel: Channel) -> None:
    """SPEC M6.2: from any client that can publish under a party's name."""
    made = exchange(tmp_path, watch=False)
    shapes = [b"%060000d" % 0, b"\xff" * 70_000, b'{"payload":"' + b"A" * 60_000]
    frames = [Frame("eucom", channel, shapes[number % 3] + b"%d" % number) for number in range(VARIANTS)]
    assert flood(made.ndmc, frames) < MIB
    assert {"bad_frames/any", "bad_frames/eucom"} <= {*alarms(made.ndmc)}


# --- honest peers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suite", SUITES)
def test_the_copies_of_half_a_day_are_receipted_without_an_alarm_and_do_not_fill_the_disk(
    tmp_path: Path, suite: str
) -> None:
    """SPEC M4.4, M6.2: the peer has sent its oldest frame once a minute while we were away."""
    made = exchange(tmp_path, suite)
    made.alert("eucom", text=LONG)
    made.eucom.turn()
    (frame,) = made.eucom.outgoing
    made.eucom.outgoing.clear()
    for reader in (made.ndmc, made.end(WATCH)):
        grown = flood(reader, [frame] * 720)
        assert grown < MIB, grown
        assert not [each for each in alarms(reader) if "frames" in each]
        assert suppressed(reader)["repeated"] >= 700
    made.settle()
    assert receipted(made.eucom) == 1


def test_a_repeat_is_receipted_again_even_if_it_is_only_counted(tmp_path: Path) -> None:
    """SPEC M3.1, M6.2: our receipts were lost, so the peer goes on."""
    made = exchange(tmp_path, watch=False)
    frame = captured(made)
    flood(made.ndmc, [frame] * 50)
    made.ndmc.outgoing.clear()
    for _ in range(20):
        made.ndmc.receive(frame)
    made.ndmc.turn()
    made.ndmc.outgoing.clear()
    made.world.at += MINUTE
    made.ndmc.wake()
    assert [each.channel for each in made.ndmc.outgoing] == ["receipt"]


def test_frames_that_were_signed_again_raise_no_alarm(tmp_path: Path) -> None:
    """SPEC M6.2: a key was replaced while our receipts were lost; the peer's eight large frames come in other bytes."""
    made = exchange(tmp_path, watch=False)
    frames = [captured(made, alerts=3, text=LONG) for _ in range(8)]
    again = [next(variants(frame, junk(64))) for frame in frames]
    for _ in range(30):
        flood(made.ndmc, again)
    assert 0 < suppressed(made.ndmc)["altered"] < 8
    assert not [each for each in alarms(made.ndmc) if "frames" in each]


def test_a_flood_of_identical_copies_raises_the_alarm(tmp_path: Path) -> None:
    """SPEC M6.2: more than an honest peer can have sent."""
    made = exchange(tmp_path)
    frame = captured(made)
    for reader in (made.ndmc, made.end(WATCH)):
        assert flood(reader, [frame] * 2_000) < MIB
        assert "bad_frames/any" in alarms(reader)


def test_resends_after_every_reconnect_raise_no_alarm(tmp_path: Path) -> None:
    """SPEC M4.3: a peer whose network flaps for ten minutes sends its frames 200 times."""
    made = exchange(tmp_path, watch=False)
    for _ in range(8):
        made.alert("eucom")
        made.eucom.turn()
    for _ in range(200):
        made.world.at += 3 * SECOND
        made.eucom.happens(TransportLost, reason="flapping")
        made.eucom.happens(TransportConnected)
        made.eucom.turn()
    frames = [*made.eucom.outgoing]
    made.eucom.outgoing.clear()
    assert len(frames) > 1_500
    for at in range(0, len(frames), 200):
        flood(made.ndmc, frames[at : at + 200])
    assert not [each for each in alarms(made.ndmc) if "frames" in each]
    made.settle()
    assert receipted(made.eucom) == 8


# --- many captured frames -----------------------------------------------------------------------------------------


def test_replays_of_a_whole_life_do_not_fill_the_disk(tmp_path: Path) -> None:
    """SPEC M6.2: every frame that a party ever sent, again and again, raises the alarm."""
    made = exchange(tmp_path)
    frames = [captured(made) for _ in range(120)]
    for reader in (made.ndmc, made.end(WATCH)):
        grown = sum(flood(reader, frames) for _ in range(10))
        assert grown < MIB, grown
        assert "bad_frames/any" in alarms(reader)
        assert suppressed(reader)["outdated"] > 1_000
    assert len(made.ndmc.core.snapshot().alerts) == 120


def test_replays_of_stale_receipts_do_not_fill_the_disk(tmp_path: Path) -> None:
    """SPEC M6.2, R3.2"""
    made = exchange(tmp_path)
    frames = []
    for _ in range(40):
        made.alert("eucom")
        made.eucom.turn()
        made.arrive(made.eucom.outgoing.pop())
        made.ndmc.turn()
        frames.append(made.ndmc.outgoing[-1])
        made.settle()
    for reader in (made.eucom, made.end(WATCH)):
        assert flood(reader, frames * 40) < MIB
        assert "bad_frames/any" in alarms(reader)
        assert suppressed(reader)["stale_receipt"] > 1_500


def test_replays_of_an_old_epoch_do_not_fill_the_disk(tmp_path: Path) -> None:
    """SPEC E3, M6.2: they verify, and each would be journaled."""
    old = exchange(tmp_path / "old", watch=False)
    frames = [captured(old, text=LONG) for _ in range(30)]
    file = structs.replace(old.eucom.file, terms=structs.replace(EPOCH_1, epoch=2))
    made = Exchange(tmp_path / "new", file, at=START)
    made.open()
    made.start()
    for reader in (made.ndmc, made.end(WATCH)):
        assert flood(reader, frames * 50) < MIB
        assert {"policy_mismatch/eucom", "bad_frames/any"} <= {*alarms(reader)}
        assert suppressed(reader)["wrong_epoch"] > 1_400


# --- a peer with its keys -----------------------------------------------------------------------------------------


class Liar:
    """A party that signs whatever it likes, without end."""

    def __init__(self, terms: Terms = EPOCH_1, side: str = "eucom") -> None:
        self._terms = terms
        self._side = side
        self._signer = SIGNERS["ed25519"][side]
        self._address: dict[str, Any] = {
            "link": terms.link,
            "epoch": terms.epoch,
            "sender": side,
            "recipient": terms.answering,
            "policy": policy_digest(terms),
        }

    def message(self, seq: int, at: int, prev: str = "0" * 64, text: str = "Shelling") -> Message:
        return Message(seq=seq, prev=prev, at=written(at), body=alert(at, text))

    def first(self, at: int, text: str = "Shelling") -> Message:
        return self.message(1, at, genesis(self._terms, self._side), text)

    def sends(self, *messages: Message, **fields: Any) -> Frame:
        payload = MessagePayload(**(self._address | {"floor": 0, "messages": messages} | fields))
        return self._frame("message", payload)

    def receipts(self, upto: int, head: str, at: int) -> Frame:
        return self._frame("receipt", ReceiptPayload(**self._address, upto=upto, head=head, at=written(at)))

    def _frame(self, channel: Channel, payload: MessagePayload | ReceiptPayload) -> Frame:
        return Frame(self._side, channel, self._signer.seal(PAYLOAD_TYPES[channel], canonical.encode(payload)))


def test_frames_that_are_too_far_ahead_do_not_fill_the_disk(tmp_path: Path) -> None:
    """SPEC M3.2, M6.2"""
    made, liar = exchange(tmp_path, watch=False), Liar()
    frames = [liar.sends(liar.message(1_000 + each, made.ndmc.at)) for each in range(VARIANTS)]
    assert flood(made.ndmc, frames) < MIB
    assert "bad_frames/any" in alarms(made.ndmc)
    assert suppressed(made.ndmc)["too_far_ahead"] > 1_400


def test_runs_beyond_a_gap_do_not_fill_the_disk(tmp_path: Path) -> None:
    """SPEC M3.2, M6.2: every beginning and every length of a run that is known already."""
    made, liar = exchange(tmp_path, watch=False), Liar()
    messages = [liar.message(2, made.ndmc.at)]
    for seq in range(3, 62):
        messages.append(liar.message(seq, made.ndmc.at, canonical.digest(messages[-1])))
    every = [messages[one:other] for one in range(60) for other in range(one + 1, 61)]
    frames = [liar.sends(*run) for run in sorted(every, key=len, reverse=True)]
    assert len(frames) > 1_700
    assert flood(made.ndmc, frames) < MIB
    assert "bad_frames/any" in alarms(made.ndmc)


def test_a_direction_that_has_stopped_does_not_fill_the_disk(tmp_path: Path) -> None:
    """SPEC M5.2, M6.2"""
    made, liar = exchange(tmp_path), Liar()
    at = made.ndmc.at
    frames = [liar.sends(liar.first(at, f"Version {each}")) for each in range(VARIANTS)]
    for reader in (made.ndmc, made.end(WATCH)):
        assert flood(reader, frames) < MIB
        assert {"equivocation/eucom", "bad_frames/any"} <= {*alarms(reader)}


def test_receipts_without_end_do_not_fill_the_disk(tmp_path: Path) -> None:
    """SPEC R3.1, M6.2: true ones, each with another time, and false ones."""
    made, liar = exchange(tmp_path), Liar()
    captured(made, "ndmc")
    head = fields_of(made.ndmc.core)["epoch"]["outbox"]["head"]
    for number, claimed in enumerate((head, "0" * 64)):
        frames = [liar.receipts(1, claimed, made.ndmc.at - each) for each in range(VARIANTS)]
        for reader in (made.ndmc, made.end(WATCH)):
            assert flood(reader, frames) < MIB
            assert ("fork/eucom" in alarms(reader)) == bool(number)
            assert "bad_frames/any" in alarms(reader)


def test_a_receipt_beside_known_messages_does_not_fill_the_disk(tmp_path: Path) -> None:
    """SPEC R1.3, M6.2: each payload differs by the receipt's time alone."""
    made, liar = exchange(tmp_path, watch=False), Liar()
    first, start = liar.first(made.ndmc.at), genesis(EPOCH_1, "ndmc")
    frames = [
        liar.sends(first, receipt=Claim(upto=0, head=start, at=written(made.ndmc.at - each)))
        for each in range(VARIANTS)
    ]
    assert flood(made.ndmc, frames) < MIB
    assert "bad_frames/any" in alarms(made.ndmc)
    assert suppressed(made.ndmc)["repeated"] > 1_400


# --- the record afterwards ----------------------------------------------------------------------------------------


def test_audits_miss_nothing_after_a_flood(tmp_path: Path) -> None:
    """SPEC M6.2: what was counted is not missing."""
    scene = Scene(tmp_path)
    made = exchange(tmp_path / "journal")
    frames = [captured(made) for _ in range(20)]
    for reader in (made.ndmc, made.end(WATCH)):
        flood(reader, [*frames * 20, *some(variants(frames[3], junk(64)), 300)])
    made.settle()
    for end in made.ends.values():
        end.stop()
    names = [f"journal/{name}" for name in ("eucom", "ndmc", "watch")]
    for name in names:
        assert scene.verify(name).exit == 0
        assert deconflict(tmp_path, ["replay", name, "--json"]).exit == 0
    run = scene.reconcile(*names[:2], "--watch", names[2])
    assert run.exit == 0, run.document
