"""Generates the vectors of streams and receipts: frames in their order of arrival, with the outcome of each."""

from typing import Any

from protocol.wire.canonical import digest
from protocol.wire.digests import genesis
from tests.vectors import bodies
from tests.vectors.terms import EPOCH_1, Vector, message_frame, receipt_frame, stream, text

STREAM = stream("eucom", bodies.HEARTBEAT, bodies.ALERT, bodies.FUTURE, bodies.FLASH, bodies.CANCELLATION)
ANSWERS = stream("ndmc", bodies.ANSWER, bodies.ACKNOWLEDGEMENT)


def streams() -> list[Vector]:
    """Return sequences of frames that arrive at `ndmc`, with the messages applied, the receipt and any refusal."""
    another = [STREAM[0], STREAM[1] | {"at": "2022-11-29T09:00:00.000Z"}]
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
            "a first prev that is not the stream's",
            step([STREAM[0] | {"prev": "0" * 64}], refused="direction_stopped", upto=0),
        ),
        conversation(
            "a floor beyond what is on disk here",
            step(STREAM[1:2], floor=1, refused="direction_stopped", upto=0),
            step(STREAM[:1], refused="direction_stopped", upto=0),
        ),
    ]


def conversation(name: str, *steps: Vector) -> Vector:
    """Return the vector of a sequence of frames."""
    return {"name": name, "steps": list(steps)}


def step(messages: list[dict[str, Any]], *, upto: int, floor: int = 0, **outcome: Any) -> Vector:
    """Return the arrival of one frame, its outcome, and what a receipt then claims."""
    head = digest(STREAM[upto - 1]) if upto else genesis(EPOCH_1, "eucom")
    return {"frame": text(message_frame("eucom", messages, floor=floor))} | outcome | {"upto": upto, "head": head}


def receipts() -> list[Vector]:
    """Return receipts that arrive at `eucom` after it has sent two messages."""
    heads = [genesis(EPOCH_1, "eucom"), digest(STREAM[0]), digest(STREAM[1])]
    claims = [
        ("the whole stream", 2, heads[2], "settles"),
        ("a part of it", 1, heads[1], "settles"),
        ("nothing yet", 0, heads[0], "stale"),
        ("another head", 2, "0" * 64, "fork"),
        ("the head of another seq", 2, heads[1], "fork"),
        ("another beginning", 0, "0" * 64, "fork"),
        ("more than was sent", 3, heads[2], "fork"),
    ]
    return [
        {"name": name, "frame": text(receipt_frame("ndmc", upto, head)), "outcome": outcome}
        for name, upto, head, outcome in claims
    ]
