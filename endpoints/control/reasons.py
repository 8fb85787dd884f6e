"""Decides whether a link is fine, and gives the reasons why it is not, each with a stable code.

A link is fine only while that is proven: no reason is left. Presence is a hint from the broker; it can spoil `fine`,
and never prove it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, get_args

from msgspec import UNSET, Struct, UnsetType

from endpoints.control.open_items import DueItem, OpenItem
from endpoints.runtime.gauges import Gauges
from endpoints.runtime.ports import Now
from endpoints.runtime.rate_limits import SIGNED_SILENCE_S
from protocol.core.alarms import Alarm
from protocol.core.alerts import AlertState
from protocol.core.deadlines import SECOND
from protocol.core.snapshot import Snapshot, TestView
from protocol.core.watch_state import SlotState, TestState
from protocol.phrases import Phrase, Said, phrase, rephrased, said
from protocol.wire.instants import Millis, parsed
from protocol.wire.messages import Identifier, Utc

PRESENCE_MAX_S = 75
"""The greatest age of the peer's last sign of presence: two and a half beats."""
UNRECEIPTED_MAX_MS: Millis = 30 * SECOND
"""How long a message may wait for its receipt before the link is late."""

LinkState = Literal["fine", "unproven", "late", "alarm", "unknown"]
"""The states of a link, the worst last."""
PresenceState = Literal["present", "gone", "unknown"]
"""Whether a party is present, as a hint from the broker."""
ReasonCode = Literal[
    "alarm",
    "warning",
    "slot_open",
    "answer_awaited",
    "unreceipted",
    "officer_awaited",
    "not_connected",
    "peer_gone",
    "peer_silent",
    "peer_unheard",
    "untested",
    "slot_unproven",
    "no_answer",
]
_NO_CONNECTION = phrase("no connection to the broker")
_ANSWERED = {TestState.ANSWERED, TestState.ANSWERED_LATE}
_AWAITED = {TestState.PLACED, TestState.RECEIVED}


class Reason(Struct, frozen=True, kw_only=True):
    """One reason why a link is not fine."""

    code: ReasonCode
    # the state that it leads to by itself
    state: LinkState
    # what it is about: an alarm, a slot, a reference, a party; empty for the link as a whole
    subject: str = ""
    # in words, in English
    text: str
    # what `text` was made from, for views in other languages
    said: Said | UnsetType = UNSET


def state_of(reasons: Iterable[Reason]) -> LinkState:
    """Return the worst state of the reasons: `fine` without any."""
    order = get_args(LinkState)
    return max((reason.state for reason in reasons), key=order.index, default="fine")


def reason(code: ReasonCode, state: LinkState, text: Phrase, subject: str = "") -> Reason:
    """Return a reason with its text in words."""
    return Reason(code=code, state=state, subject=subject, text=str(text), said=said(text) or UNSET)


def of_alarms(alarms: Iterable[Alarm]) -> Iterator[Reason]:
    """Yield a reason for each alarm that is active or not acknowledged, and for each active warning."""
    for alarm in alarms:
        name = f"{alarm.code}/{alarm.subject}"
        if alarm.severity != "warning":
            yield reason("alarm", "alarm", phrase("alarm {alarm}", alarm=name), name)
        elif alarm.active:
            yield reason("warning", "unproven", phrase("warning {alarm}", alarm=name), name)


def reasons(view: Snapshot, gauges: Gauges, opened: Iterable[OpenItem | DueItem], now: Now) -> Iterator[Reason]:
    """Yield the reasons why a link is not fine, its alarms aside.

    Args:
        view: what the record knows.
        gauges: what the process knows.
        opened: what waits for an officer here.
        now: the reading of the clocks.
    """
    yield from _overdue(view, opened, now.at)
    yield from _line_tests(view, now.at)
    if not view.connected:
        trouble = gauges.connection_trouble or rephrased(view.connection_trouble, view.connection_trouble_said)
        text = phrase("no connection to the broker: {reason}", reason=trouble) if trouble else _NO_CONNECTION
        yield reason("not_connected", "unproven", text)
        return
    for party in (party for party in (view.caller, view.answering) if party != view.side):
        state = presence(view, gauges, party, now.real_s)
        if party in gauges.silent:
            text = phrase(
                "nothing signed by {party} has arrived for {seconds} s, although the broker calls it present: the way "
                "between the two sides may be cut",
                party=party,
                seconds=SIGNED_SILENCE_S,
            )
            yield reason("peer_silent", "unproven", text, party)
        elif state == "gone":
            text = phrase("the broker reports that {party} is gone", party=party)
            yield reason("peer_gone", "unproven", text, party)
        elif state == "unknown":
            text = phrase("no sign of {party} within the last {seconds} s", party=party, seconds=PRESENCE_MAX_S)
            yield reason("peer_unheard", "unproven", text, party)


def presence(view: Snapshot, gauges: Gauges, party: Identifier, real_s: int) -> PresenceState:
    """Return whether a party is present, as a hint from the broker; `unknown` also if it was not heard recently."""
    if not view.connected or gauges.failure is not None:
        return "unknown"
    if view.present.get(party) is False or party in gauges.silent:
        return "gone"
    age_s = presence_age_s(gauges, party, real_s)
    return "unknown" if age_s is None or age_s > PRESENCE_MAX_S else "present"


def presence_age_s(gauges: Gauges, party: Identifier, real_s: int) -> int | None:
    """Return how long ago a party was heard, in whole seconds; None if it was not heard over this connection."""
    heard_s = gauges.heard_s.get(party)
    return None if heard_s is None else max(0, int(real_s - heard_s))


def _overdue(view: Snapshot, opened: Iterable[OpenItem | DueItem], at: Millis) -> Iterator[Reason]:
    """Yield what is overdue but not yet an alarm."""
    since = _unreceipted_since(view)
    if since is not None and at - parsed(since) > UNRECEIPTED_MAX_MS:
        text = phrase("the oldest message without a receipt has waited since {when}", when=utc_words(since))
        yield reason("unreceipted", "late", text)
    for item in opened:
        if item.due_at is not None and 2 * at > parsed(item.received_at) + parsed(item.due_at):
            text = phrase(
                "{reference} waits for an officer here, past half of its time; due {when}",
                reference=item.reference,
                when=utc_words(item.due_at),
            )
            yield reason("officer_awaited", "late", text, item.reference)


def _unreceipted_since(view: Snapshot) -> Utc | None:
    """Return since when a message has waited for its receipt: at the watch, of what can be seen there an alert."""
    if view.ours is not None:
        return view.ours.oldest_at
    return min((alert.at for alert in view.alerts if alert.state is AlertState.SENT), default=None)


def _line_tests(view: Snapshot, at: Millis) -> Iterator[Reason]:
    """Yield why the line tests do not prove the line: the last due slot must be met, and its test answered."""
    for test in view.tests:
        if test.state in _AWAITED:
            text = phrase("line test {reference} is not answered yet", reference=test.reference)
            yield reason("answer_awaited", "late", text, test.reference)
    last = max((slot for slot in view.slots if parsed(slot.slot) <= at), key=lambda slot: slot.slot, default=None)
    if last is None:
        if not any(test.state in _ANSWERED for test in view.tests):
            yield reason("untested", "unproven", phrase("no line test has been answered yet"))
        return
    slot, when = last.slot, utc_words(last.slot)
    if last.state is SlotState.AWAITED:
        yield reason("slot_open", "late", phrase("the line test of {slot} has not come yet", slot=when), slot)
    elif last.state is SlotState.UNKNOWN:
        text = phrase("whether the line test of {slot} came is unknown: nobody watched here", slot=when)
        yield reason("slot_unproven", "unproven", text, slot)
    elif last.state is SlotState.MISSED:
        yield reason("slot_unproven", "unproven", phrase("the line test of {slot} did not come", slot=when), slot)
    elif not _answered(view.tests, last.test):
        yield reason("slot_unproven", "unproven", phrase("the line test of {slot} was not answered", slot=when), slot)


def _answered(tests: tuple[TestView, ...], reference: str) -> bool:
    """Return whether a test was answered, or a later one of its caller: only the newest needs an answer (SPEC W1.4)."""
    caller = f"{reference.partition('/')[0]}/"
    same = [test for test in tests if test.reference.startswith(caller)]
    # a test that was forgotten is older than all that are kept
    first = next((place for place, test in enumerate(same) if test.reference == reference), 0)
    return any(test.state in _ANSWERED for test in same[first:])


def utc_words(at: Utc) -> str:
    """Return an instant as a text in every language has it: `2022-11-29 16:00:00 UTC`."""
    return f"{at[:10]} {at[11:19]} UTC"
