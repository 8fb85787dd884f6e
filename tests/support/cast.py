"""Cues for transcripts: requests of officers, and frames of a peer that sends whatever the test gives it."""

from __future__ import annotations

from itertools import count
from typing import Any

from protocol.core.events import (
    AlarmAcknowledged,
    LineTestRequested,
    OfficerAcknowledged,
    OfficerAnswered,
    OfficerCancelled,
    OfficerRaisedAlert,
    OfficerRefused,
    OfficerReleased,
)
from protocol.wire import canonical, envelope
from protocol.wire.digests import genesis, message_digest, policy_digest
from protocol.wire.envelope import PAYLOAD_TYPES, Channel
from protocol.wire.instants import Millis, written
from protocol.wire.messages import Message, Reference
from protocol.wire.policy import Terms
from protocol.wire.refusals import VERIFIED
from protocol.wire.words import challenge
from tests.support.playbook import Cue, event
from tests.support.world import DAY, NONCE, START, TERMS, Frame, arrival

WORDS = challenge(NONCE, "ru")
"""The challenge of every line test in the transcripts."""
_numbers = count(1)


def _request() -> str:
    return f"request-{next(_numbers)}"


# --- officers -----------------------------------------------------------------------------------------------------


def alert(precedence: str = "routine", officer: str = "watch-1", **fields: Any) -> Cue:
    """Raise an alert as an officer."""
    usual = {
        "request": _request(),
        "status": "exercise",
        "category": "critical_infrastructure",
        "event_at": written(START),
        "expires_at": written(START + DAY),
        "text": {"en": "Concerned about the dam.", "ru": "Опасаемся за плотину."},
    }
    return event(OfficerRaisedAlert, officer=officer, precedence=precedence, **(usual | fields))


def release(draft: int, officer: str = "watch-2", **fields: Any) -> Cue:
    """Release a draft as an officer."""
    return event(OfficerReleased, request=_request(), officer=officer, draft=draft, **fields)


def cancel(of: str = "", officer: str = "watch-1", **fields: Any) -> Cue:
    """Cancel an alert or a draft as an officer."""
    if of:
        fields["of"] = Reference.parse(of)
    return event(OfficerCancelled, request=_request(), officer=officer, **fields)


def acknowledge(of: str, decision: str = "understood", officer: str = "duty-1", **fields: Any) -> Cue:
    """Acknowledge an alert as an officer."""
    named = {"of": Reference.parse(of), "decision": decision}
    return event(OfficerAcknowledged, request=_request(), officer=officer, **named, **fields)


def refuse(of: str, reason: str = "out_of_scope", officer: str = "duty-1", **fields: Any) -> Cue:
    """Refuse an alert as an officer."""
    named = {"of": Reference.parse(of), "reason": reason}
    return event(OfficerRefused, request=_request(), officer=officer, **named, **fields)


def answer(of: str, read_back: tuple[str, ...] = WORDS, officer: str = "duty-1", **fields: Any) -> Cue:
    """Answer a line test as an officer."""
    named = {"of": Reference.parse(of), "read_back": read_back}
    return event(OfficerAnswered, request=_request(), officer=officer, **named, **fields)


def test_line(**fields: Any) -> Cue:
    """Place an unscheduled line test."""
    return event(LineTestRequested, **({"request": _request(), "nonce": NONCE} | fields))


test_line.__test__ = False  # type: ignore[attr-defined]


def see(code: str, subject: str, officer: str = "duty-1") -> Cue:
    """Acknowledge an alarm as an officer."""
    return event(AlarmAcknowledged, request=_request(), officer=officer, code=code, subject=subject)


# --- bodies -------------------------------------------------------------------------------------------------------


def ref(seq: int, sender: str = "eucom", epoch: int = 1) -> dict[str, Any]:
    """Return a reference in its JSON form."""
    return {"sender": sender, "epoch": epoch, "seq": seq}


def an_alert(precedence: str = "routine", **fields: Any) -> dict[str, Any]:
    """Return the body of an alert."""
    usual = {
        "type": "alert",
        "status": "exercise",
        "category": "critical_infrastructure",
        "precedence": precedence,
        "event_at": written(START),
        "expires_at": written(START + DAY),
        "text": {"en": "Smoke at the plant."},
        "released_by": ["duty-1", "duty-2"],
    }
    return usual | fields


def a_heartbeat(slot: str = "", **fields: Any) -> dict[str, Any]:
    """Return the body of a line test."""
    usual = {"type": "heartbeat", "status": "exercise", "language": "ru", "text": "Проверка", "challenge": list(WORDS)}
    return usual | ({"slot": slot} if slot else {}) | fields


def an_answer(of: dict[str, Any], read_back: tuple[str, ...] = WORDS, **fields: Any) -> dict[str, Any]:
    """Return the body of an officer's answer to a line test."""
    usual = {"type": "heartbeat_answer", "of": of, "language": "ru", "text": "Слышу", "read_back": list(read_back)}
    return usual | {"officer": "duty-1"} | fields


def an_acknowledgement(of: dict[str, Any], decision: str = "understood", **fields: Any) -> dict[str, Any]:
    """Return the body of an acknowledgement."""
    return {"type": "acknowledgement", "of": of, "officer": "duty-1", "decision": decision} | fields


def a_refusal(of: dict[str, Any], reason: str = "out_of_scope", **fields: Any) -> dict[str, Any]:
    """Return the body of an officer's refusal."""
    return {"type": "refusal", "of": of, "by": "officer", "officer": "duty-1", "reason": reason} | fields


# --- the scripted peer --------------------------------------------------------------------------------------------


class Peer:
    """Generates one party's stream; it is valid unless the test replaces fields."""

    def __init__(self, side: str = "ndmc", opened: Terms = TERMS) -> None:
        self.side = side
        self.terms = opened
        self.head = genesis(opened, side)
        self.seq = 0

    def says(self, body: dict[str, Any], at: Millis = START, **fields: Any) -> Message:
        """Return the next message of the stream; `fields` replace its own."""
        self.seq += 1
        said: dict[str, Any] = {"seq": self.seq, "prev": self.head, "at": written(at), "body": body}
        message = Message(**(said | fields))
        self.head = message_digest(message)
        return message

    def sends(self, *messages: Message, **fields: Any) -> Frame:
        """Return a frame with these messages; `fields` replace those of its payload."""
        return self.frame("message", **({"floor": 0, "messages": list(messages)} | fields))

    def receipts(self, upto: int, head: str, at: Millis = START, **fields: Any) -> Frame:
        """Return a receipt frame; `fields` replace those of its payload."""
        return self.frame("receipt", **({"upto": upto, "head": head, "at": written(at)} | fields))

    def frame(self, channel: Channel, **fields: Any) -> Frame:
        """Return a frame of the peer whose payload has these fields."""
        payload = {
            "link": self.terms.link,
            "epoch": self.terms.epoch,
            "sender": self.side,
            "recipient": self.terms.answering if self.side == self.terms.caller else self.terms.caller,
            "policy": policy_digest(self.terms),
        }
        return sealed(self.side, channel, canonical.encode(payload | fields))


def sealed(sender: str, channel: Channel, payload: bytes) -> Frame:
    """Return a frame with any payload and a dummy signature."""
    return Frame(sender, channel, envelope.seal(PAYLOAD_TYPES[channel], payload, [("test", bytes(64))]))


def arrives(frame: Frame, verdict: str = VERIFIED) -> Cue:
    """Deliver a frame of the scripted peer."""
    kind, fields = arrival(frame, verdict)
    return event(kind, **fields)._replace(text=f"a {frame.channel} of {frame.sender} arrives")
