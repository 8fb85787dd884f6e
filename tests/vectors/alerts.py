"""Generates the vectors of alerts: messages of both sides, with the state of each alert after each of them."""

from collections import Counter
from typing import Any

from tests.vectors import bodies
from tests.vectors.streams import OTHER_SCOPE, change, of
from tests.vectors.terms import Vector, message_frame, stream, text


def acknowledged(seq: int, decision: str = "understood") -> bodies.Body:
    """Return an acknowledgement of an alert of `eucom`."""
    return bodies.ACKNOWLEDGEMENT | {"of": of(seq), "decision": decision}


def refused(seq: int, by: str, reason: str = "out_of_scope") -> bodies.Body:
    """Return a refusal of an alert of `eucom`, by a service or an officer."""
    body = {"type": "refusal", "of": of(seq), "by": by, "reason": reason}
    return body | ({"officer": "volkov"} if by == "officer" else {})


def alerts() -> list[Vector]:
    """Return conversations about alerts of `eucom`."""
    return [
        conversation(
            "acknowledged, promised a reply, acknowledged again, refused",
            ("eucom", bodies.ALERT, {1: "sent"}),
            ("ndmc", acknowledged(1), {1: "understood"}),
            ("ndmc", acknowledged(1, "will_reply"), {1: "will_reply"}),
            ("ndmc", acknowledged(1, "acting"), {1: "acting"}),
            ("ndmc", refused(1, "officer"), {1: "refused"}),
        ),
        conversation(
            "an acknowledgement after a refusal changes nothing",
            ("eucom", bodies.ALERT, {1: "sent"}),
            ("ndmc", refused(1, "officer"), {1: "refused"}),
            ("ndmc", acknowledged(1), {1: "refused"}),
        ),
        conversation(
            "refused by an officer, then cancelled",
            ("eucom", bodies.ALERT, {1: "sent"}),
            ("ndmc", refused(1, "officer"), {1: "refused"}),
            ("eucom", change("cancellation", 1), {1: "cancelled", 2: "sent"}),
            ("ndmc", acknowledged(1), {1: "cancelled", 2: "sent"}),
            ("ndmc", acknowledged(2), {1: "cancelled", 2: "understood"}),
        ),
        conversation(
            "changed twice, and cancelled",
            ("eucom", bodies.ALERT, {1: "sent"}),
            ("eucom", change("update", 1), {1: "changed", 2: "sent"}),
            ("eucom", change("correction", 2), {1: "changed", 2: "changed", 3: "sent"}),
            ("eucom", change("cancellation", 3), {1: "changed", 2: "changed", 3: "cancelled", 4: "sent"}),
        ),
        conversation(
            "a change that the service refuses: the alert is as before",
            ("eucom", bodies.ALERT, {1: "sent"}),
            ("ndmc", acknowledged(1), {1: "understood"}),
            ("eucom", change("cancellation", 1), {1: "cancelled", 2: "sent"}),
            ("ndmc", refused(2, "service", "not_permitted"), {1: "understood", 2: "refused"}),
            ("eucom", change("cancellation", 1), {1: "cancelled", 2: "refused", 3: "sent"}),
            ("ndmc", refused(2, "service", "not_permitted"), {1: "cancelled", 2: "refused", 3: "sent"}),
        ),
        conversation(
            "a cancellation that crosses the refusal of its alert by the service",
            ("eucom", bodies.ALERT, {1: "sent"}),
            ("eucom", change("cancellation", 1), {1: "cancelled", 2: "sent"}),
            ("ndmc", refused(1, "service", "not_permitted"), {1: "cancelled", 2: "sent"}),
            ("ndmc", refused(2, "service", "unknown_reference"), {1: "refused", 2: "refused"}),
        ),
        conversation(
            "an alert that breaks the policy is none",
            ("eucom", OTHER_SCOPE, {}),
            ("ndmc", refused(1, "service"), {}),
        ),
    ]


def conversation(name: str, *steps: tuple[str, bodies.Body, dict[int, str]]) -> Vector:
    """Return the vector of messages in the order in which they were seen, one in a frame."""
    said = {side: stream(side, *(body for sender, body, _ in steps if sender == side)) for side in ("eucom", "ndmc")}
    place: Counter[str] = Counter()
    vector: list[dict[str, Any]] = []
    for sender, _, states in steps:
        message = said[sender][place[sender]]
        place[sender] += 1
        vector.append(
            {"sender": sender, "frame": text(message_frame(sender, [message]))}
            | {"alerts": {f"eucom/1/{seq}": state for seq, state in states.items()}}
        )
    return {"name": name, "steps": vector}
