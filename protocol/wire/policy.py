"""What both sides have agreed: the parties, the policy table, the epoch (SPEC P, E1).

Units stand last in names.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from protocol.wire.messages import Category, Identifier, Language, Precedence, Seq, Text, Texts

Seconds = Annotated[int, Meta(ge=1, le=31 * 86_400, extra={"unit": "s"})]
"""A duration; link files write it with its unit: `10m`."""


class EnrolledKey(Struct, frozen=True, forbid_unknown_fields=True):
    """A public key as the link file enrols it."""

    id: str
    algorithm: Literal["ed25519", "ml-dsa-65"]
    # raw public key, standard base64
    public: str


class Channel(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Another line between the two states, to which a matter can be referred."""

    id: Identifier
    name: Texts


class Handling(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long an alert of each precedence may stay unacknowledged (STANAG 4406 practice)."""

    flash: Seconds = 600
    immediate: Seconds = 1_800
    priority: Seconds = 10_800
    routine: Seconds = 21_600


class Policy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The policy table, agreed by both sides and the same in both link files."""

    status: Literal["actual", "exercise"]
    # slots: cron expressions of five fields, in an IANA time zone
    slots: Annotated[tuple[Text, ...], Meta(min_length=1, max_length=16)]
    zone: Annotated[str, Meta(min_length=1, max_length=64)]
    # how long after its slot a line test is still in time
    grace_s: Seconds = 900
    # from the receipt (caller) or the reception (answering side) of a line test to its answer
    answer_within_s: Seconds = 600
    placed_by: Literal["service", "officer"] = "service"
    answered_by: Literal["service", "officer"] = "officer"
    handling: Handling = Handling()
    categories: Annotated[tuple[Category, ...], Meta(min_length=1)]
    languages: Annotated[tuple[Language, ...], Meta(min_length=1, max_length=4)]
    test_language: Language
    test_text: Text
    answer_text: Text
    # precedences whose alerts need a second officer's release
    four_eyes: tuple[Precedence, ...] = ("flash", "immediate")
    channels: Annotated[tuple[Channel, ...], Meta(max_length=16)] = ()
    skew_limit_s: Seconds = 60
    suite: Literal["ed25519", "ed25519+ml-dsa-65"] = "ed25519"


class Terms(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One epoch of one link: who calls, who answers, under which policy (SPEC E1)."""

    link: Identifier
    epoch: Seq
    caller: Identifier
    answering: Identifier
    policy: Policy
