"""What officers did about an item, and the digest of what an officer saw of it (SPEC P2).

An item is a message or a draft. Its acts are listed as this side recorded them, each with its own officer and time.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType, to_builtins

from protocol.errors import LocalProtocolError
from protocol.phrases import Phrase, phrase
from protocol.wire import canonical
from protocol.wire.messages import (
    Acknowledgement,
    Alert,
    Decision,
    Digest,
    HeartbeatAnswer,
    Identifier,
    Reference,
    Refusal,
    RefusalReason,
    Utc,
)

ACTS_KEPT = 8
"""How many acts of an item a checkpoint keeps; it counts the earlier ones. A peer may send any number of them."""

ActKind = Literal[
    "acknowledged",
    "refused",
    "answered",
    "updated",
    "corrected",
    "cancelled",
    "released",
    "discarded",
    "expired",
]
_CHANGED: dict[str, ActKind] = {"update": "updated", "correction": "corrected", "cancellation": "cancelled"}


class Act(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One act about an item."""

    act: ActKind
    # when this side recorded it
    at: Utc
    party: Identifier
    # absent if the service acted, or if a draft expired
    officer: Identifier | UnsetType = UNSET
    # of an acknowledgement
    decision: Decision | UnsetType = UNSET
    # of a refusal
    reason: RefusalReason | UnsetType = UNSET
    # its message; of a released draft, the alert that was sent
    reference: Reference | UnsetType = UNSET

    def __str__(self) -> str:
        """Return the act in one line, such as `duty-2 acknowledged it (acting) at 2022-11-29T16:00:03.000Z`."""
        return self.in_words

    @property
    def in_words(self) -> Phrase:
        """The act in one line."""
        who, why = self.officer or self.party, self.decision or self.reason
        match self.act:
            case "acknowledged":
                done = phrase("{who} acknowledged it ({decision}) at {at}", who=who, decision=why, at=self.at)
            case "refused":
                done = phrase("{who} refused it ({reason}) at {at}", who=who, reason=why, at=self.at)
            case "answered":
                done = phrase("{who} answered it at {at}", who=who, at=self.at)
            case "updated":
                done = phrase("{who} updated it at {at}", who=who, at=self.at)
            case "corrected":
                done = phrase("{who} corrected it at {at}", who=who, at=self.at)
            case "cancelled":
                done = phrase("{who} cancelled it at {at}", who=who, at=self.at)
            case "released":
                done = phrase("{who} released it at {at}", who=who, at=self.at)
            case "discarded":
                done = phrase("{who} discarded it at {at}", who=who, at=self.at)
            case _:
                done = phrase("it expired at {at}", at=self.at)
        if self.reference is UNSET:
            return done
        return phrase("{done} as {reference}", done=done, reference=self.reference)


class Item(Struct, frozen=True, kw_only=True):
    """A message or a draft, and the acts on it so far."""

    # `eucom/1/42` or `draft/3`
    reference: str
    # the body without `released_by`; of a draft, the one that would be sent, with its prepared `cancellation`
    item: dict[str, Any]
    # the last `ACTS_KEPT`, oldest first
    acts: tuple[Act, ...]
    # the number of earlier ones
    earlier: int

    @property
    def seen(self) -> Digest:
        """The digest that an act carries as `seen`: of the item, and of the acts on it so far (SPEC P2.1)."""
        acts = [{name: value for name, value in to_builtins(act).items() if name != "reference"} for act in self.acts]
        return canonical.digest({"reference": self.reference, "item": self.item, "acts": acts, "earlier": self.earlier})

    def last_act_of_another(self, officer: Identifier) -> bool:
        """Return whether another officer than `officer` acted last, so that there is an act they have not seen."""
        return bool(self.acts) and self.acts[-1].officer != officer


class ActedFirstError(LocalProtocolError):
    """Another officer acted first: the caller has not seen their act, or nothing is left to do (SPEC P2.2).

    Attributes:
        item: the item as it is now.
    """

    def __init__(self, code: str, item: Item, why: str) -> None:
        done = phrase("nobody has acted on it; show it again for its digest")
        if item.acts:
            done = reduce(
                lambda first, then: phrase("{first}; {then}", first=first, then=then),
                (act.in_words for act in item.acts),
            )
        super().__init__(code, phrase("{reference} {why}: {done}", reference=item.reference, why=why, done=done))
        self.item = item


def item_of(reference: object, body: dict[str, Any], acts: Iterable[Act], earlier: int = 0) -> Item:
    """Return the item of a body and all known acts on it."""
    every = tuple(acts)
    return Item(
        reference=str(reference),
        item={name: value for name, value in body.items() if name != "released_by"},
        acts=every[-ACTS_KEPT:],
        earlier=earlier + max(0, len(every) - ACTS_KEPT),
    )


def check_seen(item: Item, seen: Digest | UnsetType) -> None:
    """Raise ActedFirstError unless `seen`, if it is given, is the digest of `item` as it is now (SPEC P2.2)."""
    if seen is not UNSET and seen != item.seen:
        raise ActedFirstError("changed_since_seen", item, phrase("is not as it was seen"))


def act_of(
    body: Acknowledgement | Refusal | HeartbeatAnswer | Alert, at: Utc, reference: Reference
) -> tuple[Reference, Act] | None:
    """Return what message `reference` does, and to which message; None for an alert that changes no other."""
    party = reference.sender
    match body:
        case Acknowledgement(of=of, officer=officer, decision=decision):
            act = Act(act="acknowledged", at=at, party=party, officer=officer, decision=decision, reference=reference)
        case Refusal(of=of, officer=officer, reason=reason):
            act = Act(act="refused", at=at, party=party, officer=officer, reason=reason, reference=reference)
        case HeartbeatAnswer(of=of, officer=officer):
            act = Act(act="answered", at=at, party=party, officer=officer, reference=reference)
        case _:
            if body.change is UNSET:
                return None
            # the last one of those who released it
            of, officer = body.change.of, body.released_by[-1]
            act = Act(act=_CHANGED[body.change.kind], at=at, party=party, officer=officer, reference=reference)
    return of, act
