"""Small worlds with frames that somebody forges, and with a party that contradicts itself."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import structs

from endpoints.keys.signer import Signer
from protocol.wire import canonical
from protocol.wire.digests import admitted_digest, genesis, policy_digest
from protocol.wire.envelope import PAYLOAD_TYPES
from protocol.wire.instants import written
from protocol.wire.messages import Message, MessagePayload, ReceiptPayload
from protocol.wire.policy import Terms
from scenario.exploration.signing import signer
from scenario.exploration.small_world import BEGINS, Bounds, ForeignFrame, SmallWorld
from scenario.exploration.world_parts import ANSWERING, CALLER, NEW_EPOCH, alert, link_file

_FILE = link_file()
_TERMS = _FILE.terms
_AT = written(BEGINS)


def _body(text: str, **more: object) -> dict[str, Any]:
    """Return the body of an alert."""
    return {
        "type": "alert",
        "status": _TERMS.policy.status,
        "category": "air_pursuit",
        "precedence": "routine",
        "event_at": _AT,
        "expires_at": written(BEGINS + 3_600_000),
        "text": {"en": text},
        "released_by": ["duty-9"],
        **more,
    }


def _run(sender: str, *messages: Message, terms: Terms = _TERMS, **changed: object) -> bytes:
    """Return the payload of a message frame."""
    payload = MessagePayload(
        link=terms.link,
        epoch=terms.epoch,
        sender=sender,
        recipient=_other(sender),
        policy=policy_digest(terms),
        floor=0,
        messages=messages,
    )
    return canonical.encode_again(structs.replace(payload, **changed))


def _receipt(sender: str, upto: int, head: str) -> bytes:
    """Return the payload of a receipt frame."""
    return canonical.encode_again(
        ReceiptPayload(
            link=_TERMS.link,
            epoch=1,
            sender=sender,
            recipient=_other(sender),
            policy=policy_digest(_TERMS),
            upto=upto,
            head=head,
            at=_AT,
        )
    )


def _other(party: str) -> str:
    return ANSWERING if party == CALLER else CALLER


def _message(sender: str, seq: int = 1, text: str = "forged", prev: str = "", **more: object) -> Message:
    return Message(seq=seq, prev=prev or genesis(_TERMS, sender), at=_AT, body=_body(text, **more))


# --- a frame refused amid others --------------------------------------------------------------------------------------


def refused() -> SmallWorld:
    """Return the world in which one frame of many kinds is refused amid others."""
    caller, answering, thief = signer("caller"), signer("answering"), signer("thief")
    keys = {CALLER: caller.enrolled, ANSWERING: answering.enrolled}
    return SmallWorld(
        name="refused",
        about="an alert each way, one of 20 forged frames, a loss, a duplicate",
        files=(link_file(keys=keys),),
        scripts=((alert(CALLER, 1),), (alert(ANSWERING, 1),)),
        bounds=Bounds(losses=1, duplicates=1, foreign=1),
        foreign=tuple(_forged(caller, answering, thief)),
        signers={CALLER: caller, ANSWERING: answering},
        watched=False,
        explained=NEW_EPOCH | {"bad_frames"},
    )


def _forged(caller: Signer, answering: Signer, thief: Signer) -> list[ForeignFrame]:
    """Return forged frames in the caller's name, with the reason for which each must be refused."""
    good = _run(CALLER, _message(CALLER))
    kind, other = PAYLOAD_TYPES["message"], PAYLOAD_TYPES["receipt"]
    later = structs.replace(_TERMS, epoch=2)
    changed = structs.replace(_TERMS, policy=structs.replace(_TERMS.policy, grace_s=1))
    gap = (_message(CALLER), _message(CALLER, seq=3, prev="0" * 64))
    payloads: dict[str, tuple[bytes, str]] = {
        "of another link": (_run(CALLER, _message(CALLER), link="eucom-ndmc-2"), "wrong_link"),
        "of the other party": (_run(ANSWERING, _message(ANSWERING)), "wrong_sender"),
        "for its sender": (_run(CALLER, _message(CALLER), recipient=CALLER), "wrong_recipient"),
        "for nobody": (_run(CALLER, _message(CALLER), recipient="somebody"), "wrong_recipient"),
        "of another epoch": (_run(CALLER, _message(CALLER), terms=later), "wrong_epoch"),
        "of another policy": (_run(CALLER, _message(CALLER), terms=changed), "wrong_policy"),
        "with a gap": (_run(CALLER, *gap), "malformed_payload"),
        "with white space": (good.replace(b'"epoch":1', b'"epoch": 1'), "not_canonical"),
        "with members in another order": (_reordered(good), "not_canonical"),
        "without normal form": (_run(CALLER, _message(CALLER, text="e\u0301")), "not_canonical"),
        "with an escape that is not in normal form": (
            _run(CALLER, _message(CALLER, text="\nn\u0303")),
            "not_canonical",
        ),
        "with an unassigned character": (_run(CALLER, _message(CALLER, text="\U0001fae8")), "not_canonical"),
        "with an unknown field": (good[:-1].replace(b'"epoch":1', b'"epoch":1,"extra":1') + b"}", "malformed_payload"),
    }
    frames = [_frame(name, _sealed(caller, kind, payload), why) for name, (payload, why) in payloads.items()]
    genuine = _sealed(caller, kind, good)
    return [
        *frames,
        _frame("signed by a thief", _sealed(thief, kind, good), "bad_signature", signed=False),
        _frame("signed by the other party", _sealed(answering, kind, good), "bad_signature", signed=False),
        _frame("signed as a receipt", _sealed(caller, other, good), "wrong_payload_type"),
        _frame("with white space in its envelope", genuine.replace(b",", b", ", 1), "malformed_envelope"),
        _frame("with loose base64", _loose(genuine), "malformed_envelope"),
        _frame("too large", b" " * 65_537, "too_large"),
    ]


def _sealed(keys: Signer, kind: str, payload: bytes) -> bytes:
    return keys.seal(kind, payload)


def _frame(name: str, frame: bytes, refused: str, *, signed: bool = True) -> ForeignFrame:
    return ForeignFrame(name, CALLER, "message", frame, (ANSWERING,), refused, signed=signed)


def _reordered(payload: bytes) -> bytes:
    fields = msgspec.json.decode(payload)
    return msgspec.json.encode(dict(reversed(fields.items())))


def _loose(frame: bytes) -> bytes:
    """Return a frame whose last signature has other bits in its padding."""
    place = frame.rindex(b"==") - 1
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    return frame[:place] + bytes([alphabet[alphabet.index(frame[place]) + 1]]) + frame[place + 1 :]


# --- a party that contradicts itself ----------------------------------------------------------------------------------


def contradicting() -> SmallWorld:
    """Return the world in which each party may sign what its journal does not hold: second versions, false receipts."""
    caller, answering = signer("caller"), signer("answering")
    second = _message(CALLER, text="second version")
    follower = _message(CALLER, seq=2, text="behind it", prev=admitted_digest(second))
    false = [
        ("second message 1", _run(CALLER, second)),
        ("message 2 behind it", _run(CALLER, follower)),
        ("both", _run(CALLER, second, follower)),
        ("second message 1 with a high floor", _run(CALLER, second, floor=5)),
    ]
    claims = [
        ("receipt with a false head", _receipt(ANSWERING, 1, "1" * 64)),
        ("receipt with a false beginning", _receipt(ANSWERING, 0, "1" * 64)),
        ("receipt for what was never sent", _receipt(ANSWERING, 9, "1" * 64)),
    ]
    return SmallWorld(
        name="contradicting",
        about="2 alerts and 1, two of seven frames that contradict them, a duplicate, a crash",
        files=(link_file(keys={CALLER: caller.enrolled, ANSWERING: answering.enrolled}),),
        scripts=((alert(CALLER, 1), alert(CALLER, 2)), (alert(ANSWERING, 1),)),
        bounds=Bounds(duplicates=1, crashes={ANSWERING: 1}, foreign=2),
        foreign=(
            *(_equivocation(name, caller.seal(PAYLOAD_TYPES["message"], payload)) for name, payload in false),
            *(_fork(name, answering.seal(PAYLOAD_TYPES["receipt"], payload)) for name, payload in claims),
        ),
        versions={(CALLER, 1, 1): (second,), (CALLER, 1, 2): (follower,)},
        signers={CALLER: caller, ANSWERING: answering},
        explained=NEW_EPOCH | {"equivocation", "fork", "journal_behind"},
    )


def _equivocation(name: str, frame: bytes) -> ForeignFrame:
    return ForeignFrame(name, CALLER, "message", frame, (ANSWERING,), raises="equivocation", beside=1)


def _fork(name: str, frame: bytes) -> ForeignFrame:
    return ForeignFrame(name, ANSWERING, "receipt", frame, (CALLER,), raises="fork")


def unruly() -> SmallWorld:
    """Return the world in which the caller signs messages that break the rules; its own core is silent."""
    caller, answering = signer("caller"), signer("answering")
    unknown = {"sender": ANSWERING, "epoch": 1, "seq": 7}
    bodies: dict[str, tuple[dict[str, Any], str]] = {
        "one officer's flash": (_body("flash", precedence="flash"), "not_authorised"),
        "one officer twice": (_body("twice", precedence="flash", released_by=["duty-1", "duty-1"]), "not_authorised"),
        "actual on an exercise": (_body("actual", status="actual"), "not_permitted"),
        "an unknown type": ({"type": "telegram"}, "unsupported"),
        "an unknown field": (_body("field", colour="red"), "unsupported"),
        "an unknown reference": (_body("reference", references=[unknown]), "unknown_reference"),
        "a category out of scope": (_body("scope", category="airspace_operation"), "out_of_scope"),
        "too long": ({"type": "telegram", "text": "x" * 44_000}, "unsupported"),
        "a refusal of nothing": (
            {"type": "refusal", "of": unknown, "by": "service", "reason": "expired"},
            "unknown_reference",
        ),
        "an acknowledgement of nothing": (
            {"type": "acknowledgement", "of": unknown, "officer": "duty-1", "decision": "acting"},
            "unknown_reference",
        ),
        "an acknowledgement of its own": (
            {
                "type": "acknowledgement",
                "of": {"sender": CALLER, "epoch": 1, "seq": 1},
                "officer": "duty-1",
                "decision": "acting",
            },
            "unknown_reference",
        ),
    }
    frames, versions = [], []
    for name, (body, why) in bodies.items():
        message = Message(seq=1, prev=genesis(_TERMS, CALLER), at=_AT, body=body)
        versions.append(message)
        frame = caller.seal(PAYLOAD_TYPES["message"], _run(CALLER, message))
        frames.append(ForeignFrame(name, CALLER, "message", frame, (ANSWERING,), message_refused=why))
    return SmallWorld(
        name="unruly",
        about="one of 11 messages that break a rule, an alert of the other party, a duplicate, a crash",
        files=(link_file(keys={CALLER: caller.enrolled, ANSWERING: answering.enrolled}),),
        scripts=((alert(ANSWERING, 1),),),
        bounds=Bounds(duplicates=1, crashes={ANSWERING: 1}, foreign=1),
        foreign=tuple(frames),
        versions={(CALLER, 1, 1): tuple(versions)},
        signers={CALLER: caller, ANSWERING: answering},
        explained=NEW_EPOCH | {"fork"},
    )
