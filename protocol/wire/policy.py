"""Defines the terms that both sides have agreed: the parties, the policy table and the epoch (SPEC P, E1).

Names end in their unit.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from protocol.wire.messages import Category, Identifier, Language, Precedence, Seq, Text, Texts

Seconds = Annotated[int, Meta(ge=1, le=31 * 86_400, extra={"unit": "s"})]
"""A duration in seconds; a link file writes it with its unit, such as `10m`."""


class EnrolledKey(Struct, frozen=True, forbid_unknown_fields=True):
    """A public key as enrolled in the link file."""

    # unique within its party
    id: str
    # what it signs with
    algorithm: Literal["ed25519", "ml-dsa-65"]
    # raw public key, standard base64
    public: str


class Channel(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Another line of communication between the two states, to which a matter can be referred."""

    # how a referral names it
    id: Identifier
    # by language
    name: Texts


class Handling(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long an alert may remain unacknowledged, by precedence (STANAG 4406 practice)."""

    # a flash alert, until an officer of the other side acknowledges it
    flash: Seconds = 600
    # an immediate one
    immediate: Seconds = 1_800
    # a priority one
    priority: Seconds = 10_800
    # a routine one
    routine: Seconds = 21_600


class Policy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The policy table, which both sides have agreed and both link files contain."""

    # what the link is for
    status: Literal["actual", "exercise"]
    # slots: cron expressions of five fields, in an IANA time zone
    slots: Annotated[tuple[Text, ...], Meta(min_length=1, max_length=16)]
    # the IANA time zone of the slots
    zone: Annotated[str, Meta(min_length=1, max_length=64)]
    # how long after its slot a line test still counts as in time
    grace_s: Seconds = 900
    # time for the answer, from the receipt of the line test (caller) or its reception (answering side)
    answer_within_s: Seconds = 600
    # who places the line tests of the schedule
    placed_by: Literal["service", "officer"] = "service"
    # who answers them
    answered_by: Literal["service", "officer"] = "officer"
    # how long an alert may wait for its acknowledgement
    handling: Handling = Handling()
    # the categories of alerts that were agreed
    categories: Annotated[tuple[Category, ...], Meta(min_length=1)]
    # the languages of texts
    languages: Annotated[tuple[Language, ...], Meta(min_length=1, max_length=4)]
    # of line tests and their answers
    test_language: Language
    # what a line test says, unless a side has words of its own
    test_text: Text
    # what an answer says, unless a side has words of its own
    answer_text: Text
    # precedences of alerts that a second officer must release
    four_eyes: tuple[Precedence, ...] = ("flash", "immediate")
    # other lines of communication, to which a matter can be referred
    channels: Annotated[tuple[Channel, ...], Meta(max_length=16)] = ()
    # how far the clocks of both sides may differ
    skew_limit_s: Seconds = 60
    # the algorithms of signatures
    suite: Literal["ed25519", "ed25519+ml-dsa-65"] = "ed25519"


class Terms(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The terms of one epoch of a link: the caller, the answering side and the policy (SPEC E1)."""

    link: Identifier
    epoch: Seq
    caller: Identifier
    answering: Identifier
    policy: Policy
