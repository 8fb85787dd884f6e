"""Both ends of a link in one test: real cores, real signatures, a wire and a clock that the test holds in its hands."""

import itertools
from typing import Any, Literal

from msgspec import structs

from protocol.core.effects import Apply, Effect, Notify, RejectFrame, Resend, Seal
from protocol.core.events import (
    BatchClosed,
    DeadlineReached,
    EpochOpened,
    Event,
    FrameReceived,
    LineTestRequested,
    OfficerAcknowledged,
    OfficerRaisedAlert,
    Request,
    Started,
    TransportConnected,
    TransportLost,
)
from protocol.core.link import Link
from protocol.wire.envelope import PAYLOAD_TYPES
from protocol.wire.instants import parsed, written
from protocol.wire.keyring import Keyring
from protocol.wire.messages import Reference
from protocol.wire.policy import Terms
from tests.support.journal_samples import fields_of
from tests.vectors.terms import EPOCH_1, party_keys, signed

BEGIN = "2022-11-29T07:30:00.000Z"
SLOTS = ("2022-11-29T08:00:00.000Z", "2022-11-29T16:00:00.000Z")
UNTIL = "2022-12-13T00:00:00.000Z"
NONCE = "0102030405060708"
WORDS = ("абрикос", "автобус", "адрес")
KEYRING = Keyring(party_keys("ed25519"), "ed25519")

Side = Literal["eucom", "ndmc"]
SIDES: tuple[Side, Side] = ("eucom", "ndmc")


def peer_of(side: Side) -> Side:
    return "ndmc" if side == "eucom" else "eucom"


def terms_with(**policy: Any) -> Terms:
    """Return the vectors' terms with another policy."""
    return structs.replace(EPOCH_1, policy=structs.replace(EPOCH_1.policy, **policy))


class Pair:
    """Two ends that have started and are connected. What they publish waits in `wire` until it is carried or lost."""

    def __init__(self, terms: Terms = EPOCH_1, *, ndmc_terms: Terms | None = None) -> None:
        self.at = parsed(BEGIN)
        self.mono = 1_000_000
        self.links = {side: Link.new("eucom-ndmc", side) for side in SIDES}
        self.wire: list[tuple[Side, Literal["message", "receipt"], bytes]] = []
        self.effects: dict[str, list[Effect]] = {"eucom": [], "ndmc": []}
        self._requests = itertools.count()
        for side in SIDES:
            self.do(side, EpochOpened, terms=ndmc_terms if side == "ndmc" and ndmc_terms else terms)
            self.start(side)

    # --- what happens ---------------------------------------------------------------------------------------------

    def do(self, side: Side, happening: type[Event], **fields: Any) -> list[Effect]:
        """Let something happen at one end, and close the batch. Return the effects of both."""
        if issubclass(happening, Request):
            fields.setdefault("request", f"request-{next(self._requests)}")
        link = self.links[side]
        effects = list(link.handle(happening(at=self.at, mono=self.mono, **fields)))
        payloads = link.unsealed(self.at)
        frames = tuple(signed(PAYLOAD_TYPES[each.channel], each.payload, side) for each in payloads)
        effects += link.handle(BatchClosed(at=self.at, mono=self.mono, frames=frames))
        for effect in effects:
            if isinstance(effect, Seal):
                self.wire.append((side, effect.channel, frames[effect.index]))
            elif isinstance(effect, Resend):
                frame = link.frame(effect.first)
                if frame is not None:
                    self.wire.append((side, "message", frame))
        self.effects[side] += effects
        return effects

    def start(self, side: Side) -> None:
        self.do(side, Started, software="test", slots=SLOTS, slots_until=UNTIL, tzdata="2026a")
        self.do(side, TransportConnected)

    def reconnect(self, side: Side) -> None:
        self.do(side, TransportLost, reason="test")
        self.do(side, TransportConnected)

    def restart(self, side: Side) -> None:
        """End one end's process, and go on from its checkpoint."""
        self.links[side] = Link.restore(self.links[side].checkpoint())
        self.mono += 7
        self.start(side)

    def arrive(self, side: Side, frame: bytes, channel: Literal["message", "receipt"] = "message") -> list[Effect]:
        """Let a frame of the peer arrive, judged as the service does."""
        sender = peer_of(side)
        verdict = KEYRING.judge(channel, sender, frame)
        return self.do(side, FrameReceived, channel=channel, sender=sender, frame=frame, verdict=verdict)

    def carry(self) -> None:
        """Deliver what is on the wire, and what that leads to, until both are silent."""
        for _ in range(1_000):
            if not self.wire:
                return
            sender, channel, frame = self.wire.pop(0)
            self.arrive(peer_of(sender), frame, channel)
        raise AssertionError("the two never fall silent")

    def lose(self) -> list[tuple[Side, Literal["message", "receipt"], bytes]]:
        """Take what is on the wire."""
        lost, self.wire = self.wire, []
        return lost

    def pass_s(self, seconds: float, *sides: Side, carrying: bool = True) -> None:
        """Let time pass; each end is woken at its deadlines (one that is not named sleeps)."""
        target = self.at + int(seconds * 1_000)
        for _ in range(10_000):
            due = [(self._due(side), side) for side in sides or SIDES]
            instant, side = min(due, key=lambda each: each[0])
            if instant > target:
                break
            self._move(max(0, instant - self.at))
            self.do(side, DeadlineReached, nonce=NONCE)
            if carrying:
                self.carry()
        else:
            raise AssertionError("a deadline that is never met")
        self._move(target - self.at)

    def _due(self, side: Side) -> int:
        deadline = self.links[side].next_deadline()
        if deadline is None:
            return self.at + 10**12
        instants = [deadline.at] if deadline.at is not None else []
        if deadline.mono is not None:
            instants.append(self.at + deadline.mono - self.mono)
        return min(instants)

    def _move(self, milliseconds: int) -> None:
        self.at += milliseconds
        self.mono += milliseconds

    # --- what officers do -----------------------------------------------------------------------------------------

    def alert(self, side: Side = "eucom", **fields: Any) -> Reference:
        """Raise an alert (priority, one officer). Return its reference."""
        effects = self.do(side, OfficerRaisedAlert, **(self.alert_fields() | fields))
        queued = [effect for effect in effects if type(effect).__name__ == "Queue"]
        return Reference(side, self.epoch(side), queued[0].message.seq)  # type: ignore[attr-defined]

    def alert_fields(self) -> dict[str, Any]:
        return {
            "officer": "miller",
            "status": "exercise",
            "category": "critical_infrastructure",
            "precedence": "priority",
            "event_at": written(self.at),
            "expires_at": written(self.at + 86_400_000),
            "text": {"en": "Strikes near the plant.", "ru": "Удары вблизи станции."},
        }

    def acknowledge(self, of: Reference, decision: str = "understood") -> None:
        side: Side = "ndmc" if of.sender == "eucom" else "eucom"
        self.do(side, OfficerAcknowledged, officer="volkov", of=of, decision=decision)

    def test_line(self, side: Side = "eucom") -> None:
        self.do(side, LineTestRequested, nonce=NONCE)

    # --- what is seen ---------------------------------------------------------------------------------------------

    def epoch(self, side: Side) -> int:
        terms = self.links[side].terms
        assert terms is not None
        return terms.epoch

    def state(self, side: Side) -> dict[str, Any]:
        return fields_of(self.links[side])

    def alarms(self, side: Side) -> list[str]:
        """Return the active alarms of one end, as `code/subject`."""
        return [key for key, alarm in self.state(side)["alarms"].items() if "cleared_at" not in alarm]

    def alarm(self, side: Side, code: str) -> dict[str, Any]:
        """Return the one alarm of a code, active or not."""
        (found,) = (alarm for alarm in self.state(side)["alarms"].values() if alarm["code"] == code)
        kept: dict[str, Any] = found
        return kept

    def applied(self, side: Side) -> list[int]:
        return [effect.message.seq for effect in self.effects[side] if isinstance(effect, Apply)]

    def refused(self, side: Side) -> list[str]:
        """Return why frames were refused at one end."""
        return [effect.reason for effect in self.effects[side] if isinstance(effect, RejectFrame)]

    def told(self, side: Side) -> list[str]:
        """Return what the duty officer of one end was told, by id."""
        return [effect.id for effect in self.effects[side] if isinstance(effect, Notify)]
