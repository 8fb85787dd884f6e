"""Generates the vectors of streams and receipts: frames in their order of arrival, with the outcome of each."""

from typing import Any

from protocol.wire.canonical import digest, encode
from protocol.wire.digests import genesis
from protocol.wire.messages import MESSAGE_MAX_BYTES
from tests.vectors import bodies
from tests.vectors.terms import EPOCH_1, Vector, message_frame, receipt_frame, stream, text

Messages = list[dict[str, Any]]

STREAM = stream("eucom", bodies.HEARTBEAT, bodies.ALERT, bodies.FUTURE, bodies.FLASH, bodies.CANCELLATION)
HEADS = [genesis(EPOCH_1, "eucom"), digest(STREAM[0]), digest(STREAM[1])]
"""The heads of `eucom` after each of the first messages."""
ANSWERS = stream("ndmc", bodies.ANSWER, bodies.ACKNOWLEDGEMENT)


OTHER_SCOPE = bodies.ALERT | {"category": "air_pursuit"}


def change(kind: str, seq: int, sender: str = "eucom") -> bodies.Body:
    """Return an alert that changes another one."""
    return bodies.ALERT | {"change": {"of": of(seq, sender), "kind": kind}}


def of(seq: int, sender: str = "eucom") -> bodies.Body:
    """Return a reference in epoch 1."""
    return {"sender": sender, "epoch": 1, "seq": seq}


def of_size(size: int) -> bodies.Body:
    """Return an alert whose message, as the first one of a stream, has `size` bytes; its languages are not admitted."""
    letters = {"de": "\U0001f6d1" * 4_000, "fr": "\U0001f6d1" * 4_000, "it": "Ж" * 4_000, "pl": ""}
    left = size - len(encode(stream("eucom", bodies.ALERT | {"text": letters | {"pl": "x"}})[0])) + 1
    return bodies.ALERT | {"text": letters | {"pl": "x" * left}}


def streams() -> list[Vector]:
    """Return sequences of frames that arrive at `ndmc`, with the messages applied, the receipt and any refusal."""
    another = [STREAM[0], STREAM[1] | {"at": "2022-11-29T09:00:00.000Z"}]
    ahead = [STREAM[1] | {"seq": 256, "prev": "0" * 64}]
    contradicting = stream("eucom", bodies.ALERT, bodies.ALERT)
    contradicting[0] |= {"seq": 256, "prev": "1" * 64}
    contradicting[1] |= {"seq": 257, "prev": digest(contradicting[0])}
    broken = [STREAM[0], STREAM[1] | {"prev": "0" * 64}]
    return [
        conversation(
            "in order, one message a frame",
            *(step(STREAM[at : at + 1], applied=[at + 1], upto=at + 1) for at in range(5)),
        ),
        conversation("a whole run", step(STREAM, applied=[1, 2, 3, 4, 5], upto=5)),
        conversation(
            "frame boundaries mean nothing: runs overlap and repeat",
            step(STREAM[:2], applied=[1, 2], upto=2),
            step(STREAM[:1], applied=[], upto=2),
            step(STREAM[1:4], applied=[3, 4], upto=4),
            step(STREAM[1:4], applied=[], upto=4),
            step(STREAM, applied=[5], upto=5),
        ),
        conversation(
            "a gap is waited for",
            step(STREAM[2:4], applied=[], upto=0),
            step(STREAM[4:], applied=[], upto=0),
            step(STREAM[:1], applied=[1], upto=1),
            step(STREAM[1:2], applied=[2, 3, 4, 5], upto=5),
        ),
        conversation(
            "too far ahead",
            step([STREAM[1] | {"seq": 257, "prev": "0" * 64}], refused="too_far_ahead", upto=0),
            step([STREAM[1] | {"seq": 256, "prev": "0" * 64}], applied=[], upto=0),
            step(STREAM[:1], applied=[1], upto=1),
        ),
        conversation(
            "two different messages in one place",
            step(STREAM[:2], applied=[1, 2], upto=2),
            step(another, refused="direction_stopped", upto=2),
            step(STREAM[2:], refused="direction_stopped", upto=2),
        ),
        conversation(
            "a prev that contradicts",
            step(STREAM[:1], applied=[1], upto=1),
            step(broken, refused="direction_stopped", upto=1),
        ),
        conversation(
            "a contradiction within a run: nothing of the run is applied",
            step(broken, refused="direction_stopped", upto=0),
        ),
        conversation(
            "a contradiction in a run that is too far ahead",
            step(ahead[:1], applied=[], upto=0),
            step(contradicting, refused="direction_stopped", upto=0),
        ),
        conversation(
            "a first prev that is not the stream's",
            step([STREAM[0] | {"prev": "0" * 64}], refused="direction_stopped", upto=0),
        ),
        conversation(
            "a floor beyond what is on disk here",
            step(STREAM[1:2], floor=1, refused="direction_stopped", upto=0),
            step(STREAM[:1], refused="direction_stopped", upto=0),
        ),
        *refused_in_their_turn(),
    ]


def refused_in_their_turn() -> list[Vector]:
    """Return sequences with messages that the service of `ndmc` refuses, each with the reason."""
    changes = stream(
        "eucom",
        OTHER_SCOPE,
        change("cancellation", 1),
        bodies.ALERT,
        change("update", 3),
        change("correction", 3),
        change("cancellation", 3),
        change("cancellation", 4),
        change("update", 4),
        change("cancellation", 7),
        bodies.HEARTBEAT,
        change("update", 10),
        change("update", 1, "ndmc"),
        change("update", 14),
        bodies.ALERT | {"references": [of(1), of(3), of(7)]},
        bodies.ALERT | {"references": [of(16)]},
        OTHER_SCOPE | {"references": [of(99)]},
    )
    unknown = dict.fromkeys(("5", "6", "8", "9", "11", "12", "13", "15"), "unknown_reference")
    limit, above = (stream("eucom", of_size(size), bodies.ALERT) for size in (MESSAGE_MAX_BYTES, MESSAGE_MAX_BYTES + 1))
    return [
        conversation(
            "changes of what was refused, changed, cancelled, no alert, or never sent",
            step(
                changes[:2],
                of=changes,
                applied=[1, 2],
                refused_messages={"1": "out_of_scope", "2": "unknown_reference"},
                upto=2,
            ),
            step(
                changes[2:],
                of=changes,
                applied=list(range(3, 17)),
                refused_messages=unknown | {"16": "out_of_scope"},
                upto=16,
            ),
        ),
        *(
            conversation(
                name,
                step(messages[:1], of=messages, applied=[1], refused_messages={"1": reason}, upto=1),
                step(messages[1:], of=messages, applied=[2], upto=2),
            )
            for name, messages, reason in (
                ("a message of 44,000 bytes, in another language", limit, "unintelligible"),
                ("a message of 44,001 bytes", above, "unsupported"),
            )
        ),
    ]


def conversation(name: str, *steps: Vector) -> Vector:
    """Return the vector of a sequence of frames."""
    return {"name": name, "steps": list(steps)}


def step(messages: Messages, *, upto: int, floor: int = 0, of: Messages = STREAM, **outcome: Any) -> Vector:
    """Return the arrival of one frame of the stream `of`, its outcome, and what a receipt then claims."""
    head = digest(of[upto - 1]) if upto else genesis(EPOCH_1, "eucom")
    return {"frame": text(message_frame("eucom", messages, floor=floor))} | outcome | {"upto": upto, "head": head}


def receipts() -> list[Vector]:
    """Return receipts that arrive at `eucom` after it has sent two messages, some after another receipt."""
    heads = HEADS
    older = [
        ("an older one again", 1, heads[1], "stale"),
        ("an older one with another head", 1, "0" * 64, "fork"),
        ("an older one with the beginning's head", 1, heads[0], "fork"),
        ("another beginning, later", 0, "0" * 64, "fork"),
    ]
    claims = [
        ("the whole stream", 2, heads[2], "settles"),
        ("a part of it", 1, heads[1], "settles"),
        ("nothing yet", 0, heads[0], "stale"),
        ("another head", 2, "0" * 64, "fork"),
        ("the head of another seq", 2, heads[1], "fork"),
        ("another beginning", 0, "0" * 64, "fork"),
        ("more than was sent", 3, heads[2], "fork"),
    ]
    later = [
        ("the same once more", 1, heads[1], "stale"),
        ("the same upto with another head", 1, heads[2], "fork"),
        ("the rest of it", 2, heads[2], "settles"),
        ("a lower one", 0, heads[0], "stale"),
    ]
    first = text(receipt_frame("ndmc", 1, heads[1]))
    claim = {"upto": 2, "head": heads[2], "at": "2022-11-29T08:30:00.000Z"}
    ahead = [ANSWERS[1] | {"seq": 257}]
    beside = [
        ("beside messages that are too far ahead", message_frame("ndmc", ahead, receipt=claim), "settles"),
        (
            "beside a floor that proves a lost journal",
            message_frame("ndmc", ANSWERS, floor=1, receipt=claim),
            "settles",
        ),
        ("beside messages, and a fork", message_frame("ndmc", ANSWERS, receipt=claim | {"upto": 3}), "fork"),
    ]
    refused = ("too_far_ahead", "direction_stopped", None)
    return [
        *(
            {"name": name, "frame": text(receipt_frame("ndmc", upto, head)), "outcome": outcome}
            for name, upto, head, outcome in claims
        ),
        *(
            {"name": f"after a receipt of 1: {name}", "before": [first]}
            | {"frame": text(receipt_frame("ndmc", upto, head)), "outcome": outcome}
            for name, upto, head, outcome in later
        ),
        *(
            {"name": name, "channel": "message", "outcome": outcome, "frame": text(data)}
            | ({"refused": reason} if reason else {})
            for (name, data, outcome), reason in zip(beside, refused, strict=True)
        ),
        *(
            {"name": f"after a receipt of 2: {name}", "before": [text(receipt_frame("ndmc", 2, heads[2]))]}
            | {"frame": text(receipt_frame("ndmc", upto, head)), "outcome": outcome}
            for name, upto, head, outcome in older
        ),
    ]


def times() -> list[Vector]:
    """Return frames that arrive at noon, with the alarms that their times raise.

    `eucom` has sent the first two messages of its stream, each at its own `at`.
    """
    said = [
        ("a message a minute ahead", ["12:01:00.000"], []),
        ("a message more than a minute ahead", ["12:01:00.001"], ["ahead"]),
        ("a message that is late", ["08:00:00.000"], []),
        ("a message a minute before its predecessor", ["09:00:00.000", "08:59:00.000"], []),
        ("a message more than a minute before its predecessor", ["09:00:00.000", "08:58:59.999"], ["back"]),
        ("a stream that goes back in small steps", ["09:00:00.000", "08:59:10.000", "08:58:20.000"], ["back"]),
        ("a clock that was set right", ["13:00:00.000", "12:00:00.000", "12:00:00.000"], ["ahead", "back"]),
    ]
    receipted = [
        ("a receipt a minute ahead", 0, "12:01:00.000", []),
        ("a receipt more than a minute ahead", 0, "12:01:00.001", ["ahead"]),
        ("a receipt a minute before its message", 2, "08:00:00.000", []),
        ("a receipt more than a minute before its message", 2, "07:59:59.999", ["behind"]),
        ("a receipt that covers a part", 1, "07:59:59.999", []),
    ]
    answered = [
        ("an answer a minute before its test", bodies.ANSWER, "07:59:00.000", []),
        ("an answer more than a minute before its test", bodies.ANSWER, "07:58:59.999", ["behind"]),
        ("an acknowledgement before its alert", bodies.ACKNOWLEDGEMENT, "07:59:59.999", ["behind"]),
    ]
    return [
        *(
            arrival(name, "ndmc", "message", message_frame("eucom", dated(*instants)), ways)
            for name, instants, ways in said
        ),
        *(
            arrival(name, "eucom", "receipt", receipt_frame("ndmc", upto, HEADS[upto], at=on_the_day(at)), ways)
            for name, upto, at, ways in receipted
        ),
        *(
            arrival(name, "eucom", "message", message_frame("ndmc", [said_once(body, at)]), ways)
            for name, body, at, ways in answered
        ),
    ]


def arrival(name: str, reader: str, channel: str, frame: bytes, ways: list[str]) -> Vector:
    """Return the vector of a frame that arrives at noon; `ways` are those in which its sender's clock is wrong."""
    sender = "eucom" if reader == "ndmc" else "ndmc"
    return {
        "name": name,
        "reader": reader,
        "channel": channel,
        "sender": sender,
        "at": on_the_day("12:00:00.000"),
        "frame": text(frame),
        "raises": [f"clock_skew/{sender}/{way}" for way in ways],
    }


def dated(*instants: str) -> list[dict[str, Any]]:
    """Return the first messages of `eucom`, dated as given."""
    messages: list[dict[str, Any]] = []
    for message, at in zip(STREAM, instants, strict=False):
        prev = digest(messages[-1]) if messages else message["prev"]
        messages.append(message | {"prev": prev, "at": on_the_day(at)})
    return messages


def said_once(body: dict[str, Any], at: str) -> dict[str, Any]:
    """Return the first message of `ndmc`, with this body."""
    return stream("ndmc", body)[0] | {"at": on_the_day(at)}


def on_the_day(time: str) -> str:
    """Return an instant of the vectors' day."""
    return f"2022-11-29T{time}Z"
