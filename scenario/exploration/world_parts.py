"""What small worlds are made of: link files, requests of officers, and frames that somebody forges."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import structs

from endpoints.config import default_terms
from endpoints.config.link_file import LinkFile
from protocol.core.events import (
    LineTestRequested,
    OfficerAcknowledged,
    OfficerAnswered,
    OfficerCancelled,
    OfficerRaisedAlert,
    OfficerRefused,
    OfficerReleased,
    Request,
)
from protocol.core.snapshot import Snapshot
from protocol.wire.instants import Millis, written
from protocol.wire.messages import Decision, Precedence, Reference
from protocol.wire.policy import EnrolledKey, Terms
from scenario.exploration.small_world import NONCE, MakeRequest, Occasion, PlannedRequest, Symmetry
from scenario.simulation.signatures import enrolled

CALLER, ANSWERING = default_terms.CALLER, default_terms.ANSWERING
PARTIES = (CALLER, ANSWERING)
HOUR: Millis = 3_600_000
NEW_EPOCH = frozenset({"undelivered", "policy_mismatch"})
"""Alarms of every world whose healing may need a new epoch."""
SWAPPED = Symmetry({CALLER: ANSWERING, ANSWERING: CALLER})


def link_file(epoch: int = 1, keys: Mapping[str, tuple[EnrolledKey, ...]] | None = None, **policy: object) -> LinkFile:
    """Return the link file of an epoch, whose policy differs from the usual one in `policy`."""
    usual = default_terms.terms()
    terms: Terms = structs.replace(usual, epoch=epoch, policy=structs.replace(usual.policy, **policy))
    known = keys or enrolled(PARTIES)
    parties = {name: structs.replace(default_terms.party(name), keys=known[name]) for name in PARTIES}
    return LinkFile(terms=terms, parties=parties)


def alert(
    side: str, number: int, officer: str = "duty-1", precedence: Precedence = "routine", expires: Millis = HOUR
) -> PlannedRequest:
    """Return a request for an alert."""

    def make(_view: Snapshot, asked: Occasion) -> Request:
        return _raised(asked, officer, f"alert {number}", precedence, expires)

    return PlannedRequest(f"{side} alert {number}", side, make)


def update(side: str, officer: str) -> PlannedRequest:
    """Return a request for an update of the side's first alert."""

    def make(asked: Occasion, of: Reference) -> Request:
        return structs.replace(_raised(asked, officer, "update"), changes=of, change_kind="update")

    return PlannedRequest(f"{side} update by {officer}", side, _about_first(side, make))


def cancel(side: str, officer: str) -> PlannedRequest:
    """Return a request to cancel the side's first alert."""

    def make(asked: Occasion, of: Reference) -> Request:
        return OfficerCancelled(at=asked.at, mono=asked.mono, request=asked.request, officer=officer, of=of)

    return PlannedRequest(f"{side} cancel by {officer}", side, _about_first(side, make))


def release(side: str, officer: str) -> PlannedRequest:
    """Return a request to release the first draft of the side, waiting or not."""

    def make(asked: Occasion) -> Request:
        return OfficerReleased(at=asked.at, mono=asked.mono, request=asked.request, officer=officer, draft=1)

    return PlannedRequest(f"{side} release by {officer}", side, _about_draft(make))


def discard(side: str, officer: str) -> PlannedRequest:
    """Return a request to discard the first draft of the side, waiting or not."""

    def make(asked: Occasion) -> Request:
        return OfficerCancelled(at=asked.at, mono=asked.mono, request=asked.request, officer=officer, draft=1)

    return PlannedRequest(f"{side} discard by {officer}", side, _about_draft(make))


def acknowledge(side: str, peer: str, officer: str, decision: Decision = "acting") -> PlannedRequest:
    """Return a request to acknowledge the peer's first alert."""

    def make(asked: Occasion, of: Reference) -> Request:
        return OfficerAcknowledged(
            at=asked.at, mono=asked.mono, request=asked.request, officer=officer, of=of, decision=decision
        )

    return PlannedRequest(f"{side} {decision} by {officer}", side, _about_first(peer, make))


def refuse(side: str, peer: str, officer: str) -> PlannedRequest:
    """Return a request to refuse the peer's first alert."""

    def make(asked: Occasion, of: Reference) -> Request:
        return OfficerRefused(
            at=asked.at, mono=asked.mono, request=asked.request, officer=officer, of=of, reason="out_of_scope"
        )

    return PlannedRequest(f"{side} refuse by {officer}", side, _about_first(peer, make))


def line_test(side: str, officer: str = "duty-1") -> PlannedRequest:
    """Return a request for an unscheduled line test."""

    def make(_view: Snapshot, asked: Occasion) -> Request:
        return LineTestRequested(at=asked.at, mono=asked.mono, request=asked.request, nonce=NONCE, officer=officer)

    return PlannedRequest(f"{side} test", side, make)


def answer(side: str, officer: str = "duty-1", *, wrong: bool = False) -> PlannedRequest:
    """Return a request to answer the last line test; with `wrong`, with its words in another order."""

    def make(view: Snapshot, asked: Occasion) -> Request | None:
        tests = [test for test in view.tests if not test.reference.startswith(side)]
        if not tests:
            return None
        first, second, third = tests[-1].heartbeat.challenge
        return OfficerAnswered(
            at=asked.at,
            mono=asked.mono,
            request=asked.request,
            officer=officer,
            of=Reference.parse(tests[-1].reference),
            read_back=(second, first, third) if wrong else (first, second, third),
        )

    return PlannedRequest(f"{side} {'wrong ' if wrong else ''}answer", side, make)


def _raised(
    asked: Occasion, officer: str, text: str, precedence: Precedence = "routine", expires: Millis = HOUR
) -> OfficerRaisedAlert:
    return OfficerRaisedAlert(
        at=asked.at,
        mono=asked.mono,
        request=asked.request,
        officer=officer,
        category="air_pursuit",
        precedence=precedence,
        event_at=written(asked.at),
        expires_at=written(asked.at + expires),
        text={"en": text},
    )


def _about_first(side: str, make: Callable[[Occasion, Reference], Request]) -> MakeRequest:
    """Return what makes a request about the first alert of `side` that is shown, if there is one."""

    def about(view: Snapshot, asked: Occasion) -> Request | None:
        first = next((each for each in view.alerts if each.reference.startswith(f"{side}/")), None)
        return None if first is None else make(asked, Reference.parse(first.reference))

    return about


def _about_draft(make: Callable[[Occasion], Request]) -> MakeRequest:
    """Return what makes a request about the first draft, if there was one."""

    def about(view: Snapshot, asked: Occasion) -> Request | None:
        return make(asked) if view.drafts or view.drafts_ended else None

    return about
