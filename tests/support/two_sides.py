"""A small real day between two sides, on real journals: for tests of what reads journals."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from endpoints.journal.store import FolderStore
from endpoints.journal.writer import JournalWriter
from endpoints.keys.signer import Signer
from protocol.core.effects import AnyEffect, Seal
from protocol.core.events import (
    AnyEvent,
    BatchClosed,
    DeadlineReached,
    EpochOpened,
    FrameReceived,
    KeysEnrolled,
    OfficerAcknowledged,
    OfficerAnswered,
    OfficerRaisedAlert,
    Started,
    Stopped,
    TransportConnected,
)
from protocol.core.link import Link
from protocol.core.observer import Observer
from protocol.wire.envelope import Channel
from protocol.wire.instants import Millis, parsed, written
from protocol.wire.keyring import Keyring
from protocol.wire.messages import MESSAGE_TYPE, RECEIPT_TYPE, Reference
from protocol.wire.policy import EnrolledKey, Policy, Terms

LINK = "eucom-ndmc"
MORNING = parsed("2022-11-29T07:59:00.000Z")
SLOT = "2022-11-29T08:00:00.000Z"
PRIVATE = {side: Ed25519PrivateKey.from_private_bytes(side.encode() * 8) for side in ("fake", "ndmc")}
PRIVATE["eucom"] = Ed25519PrivateKey.from_private_bytes(b"eucom---" * 4)


def enrolled(side: str) -> EnrolledKey:
    public = b64encode(PRIVATE[side].public_key().public_bytes_raw()).decode()
    return EnrolledKey(f"{side}-2022", "ed25519", public)


KEYS: dict[str, tuple[EnrolledKey, ...]] = {side: (enrolled(side),) for side in ("eucom", "ndmc")}


def terms(epoch: int = 1, grace_s: int = 900) -> Terms:
    policy = Policy(
        status="exercise",
        slots=("0 9,17 * * *",),
        zone="Europe/Berlin",
        grace_s=grace_s,
        categories=("critical_infrastructure",),
        languages=("ru", "en"),
        test_language="ru",
        test_text="Проверка линии.",
        answer_text="Слышу вас.",
        four_eyes=(),
    )
    return Terms(link=LINK, epoch=epoch, caller="eucom", answering="ndmc", policy=policy)


class Side:
    """One side's service, without a broker: what it publishes is handed over by `World`."""

    def __init__(self, name: str, folder: Path, segment_bytes: int) -> None:
        self.name = name
        self.core: Link | Observer = Observer.new(LINK, name) if name == "watch" else Link.new(LINK, name)
        self.journal = JournalWriter.open(FolderStore(folder), LINK, name, segment_bytes=segment_bytes)
        self.signer = None if name == "watch" else Signer({f"{name}-2022": PRIVATE[name]})
        self._ring = Keyring(KEYS, "ed25519")
        self._batch: list[tuple[AnyEvent, tuple[AnyEffect, ...]]] = []

    def take(self, event: AnyEvent) -> None:
        self._batch.append((event, self.core.handle(event)))  # type: ignore[arg-type]

    def receive(self, at: Millis, mono: Millis, sender: str, channel: Channel, frame: bytes) -> None:
        verdict = self._ring.judge(channel, sender, frame)
        self.take(FrameReceived(at=at, mono=mono, channel=channel, sender=sender, frame=frame, verdict=verdict))

    def commit(self, at: Millis, mono: Millis) -> list[tuple[Channel, bytes]]:
        """Close the batch and return the frames that leave."""
        frames: tuple[bytes, ...] = ()
        if isinstance(self.core, Link) and self.signer is not None:
            types = {"message": MESSAGE_TYPE, "receipt": RECEIPT_TYPE}
            frames = tuple(self.signer.seal(types[each.channel], each.payload) for each in self.core.unsealed(at))
        self.take(BatchClosed(at=at, mono=mono, frames=frames))
        self.journal.append(self._batch)
        seals = [effect for _, effects in self._batch for effect in effects if isinstance(effect, Seal)]
        self._batch.clear()
        if self.journal.rotate_due:
            sign = self.signer.seal if self.signer else None
            self.journal.rotate(self.core.checkpoint(), self.core.RULES, type(self.core).__name__, at, mono, sign)
        return [(seal.channel, frames[seal.index]) for seal in seals]


class World:
    """Both sides and the watch, with folders `eucom`, `ndmc` and `watch` below `folder`."""

    def __init__(self, folder: Path, *, segment_bytes: int = 1 << 20, other_grace_s: int = 900) -> None:
        self.at, self.mono = MORNING, 1_000
        self.sides = {name: Side(name, folder / name, segment_bytes) for name in ("eucom", "ndmc", "watch")}
        for side in self.sides.values():
            opened = terms(grace_s=other_grace_s if side.name == "ndmc" else 900)
            side.take(EpochOpened(at=self.at, mono=self.mono, terms=opened, rules=Link.RULES))
            side.take(KeysEnrolled(at=self.at, mono=self.mono, keys=KEYS))
            side.take(
                Started(
                    at=self.at,
                    mono=self.mono,
                    software="test",
                    slots=(SLOT,),
                    slots_until=written(self.at + 86_400_000),
                    tzdata="2026.1",
                )
            )
            side.take(TransportConnected(at=self.at, mono=self.mono))
        self.settle()

    def pass_time(self, ms: Millis) -> None:
        self.at += ms
        self.mono += ms

    def settle(self, *, lost_by: str = "") -> None:
        """Commit and deliver until nothing leaves any more; frames of `lost_by` get lost."""
        while True:
            self.pass_time(10)
            sent = [
                (side.name, *frame)
                for side in self.sides.values()
                if side._batch
                for frame in side.commit(self.at, self.mono)
            ]
            if not sent:
                return
            self.pass_time(10)
            for sender, channel, frame in sent:
                for side in self.sides.values():
                    if sender not in {side.name, lost_by}:
                        side.receive(self.at, self.mono, sender, channel, frame)

    def place_test(self) -> Reference:
        """The caller places the test of the slot, and the other side's officer answers."""
        self.at, self.mono = parsed(SLOT) + 5, self.mono + parsed(SLOT) - self.at
        caller, answering = self.sides["eucom"], self.sides["ndmc"]
        caller.take(DeadlineReached(at=self.at, mono=self.mono, nonce="0123456789abcdef"))
        self.settle()
        test = answering.core.snapshot().tests[-1]
        reference = Reference.parse(test.reference)
        self.pass_time(60_000)
        answering.take(
            OfficerAnswered(
                at=self.at,
                mono=self.mono,
                request=f"answer-{test.reference}",
                officer="duty-1",
                of=reference,
                read_back=test.heartbeat.challenge,
            )
        )
        self.settle()
        return reference

    def alert(self, sender: str = "eucom", text: str = "Обстрел станции", *, lost: bool = False) -> Reference:
        """An officer of `sender` raises an alert."""
        side = self.sides[sender]
        self.pass_time(1_000)
        request = f"alert-{self.at}"
        side.take(
            OfficerRaisedAlert(
                at=self.at,
                mono=self.mono,
                request=request,
                officer="watch-1",
                status="exercise",
                category="critical_infrastructure",
                precedence="routine",
                event_at=written(self.at),
                expires_at=written(self.at + 7_200_000),
                text={"ru": text, "en": "Shelling of the plant"},
            )
        )
        self.settle(lost_by=sender if lost else "")
        reference = side.core.reference_of(request)
        assert reference is not None
        return Reference.parse(reference)

    def acknowledge(self, of: Reference) -> None:
        """An officer of the other side acknowledges an alert."""
        side = self.sides["ndmc" if of.sender == "eucom" else "eucom"]
        self.pass_time(30_000)
        side.take(
            OfficerAcknowledged(
                at=self.at, mono=self.mono, request=f"ack-{of}", officer="duty-1", of=of, decision="understood"
            )
        )
        self.settle()

    def stop(self) -> None:
        """Both sides and the watch stop cleanly."""
        self.pass_time(1_000)
        for side in self.sides.values():
            side.take(Stopped(at=self.at, mono=self.mono))
        self.settle()
        self.pass_time(1_000)
        for side in self.sides.values():
            side.journal.close(self.at, self.mono, side.signer.seal if side.signer else None)


def a_day(folder: Path, *, segment_bytes: int = 1 << 20) -> World:
    """A line test, an alert acknowledged, one in the other direction, everything stopped."""
    world = World(folder, segment_bytes=segment_bytes)
    world.place_test()
    world.acknowledge(world.alert())
    world.alert("ndmc", "Ракета над морем")
    world.stop()
    return world
