"""Checks the fields of an event that a core calculates with: its time, instants, and nonces.

A journal's reader checks the types of `protocol.core.events`; a service constructs events itself. These checks keep
`handle` total for both.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import UNSET

from protocol.core.event import Event
from protocol.core.events import (
    CertificateSeen,
    ClockStepped,
    DeadlineReached,
    LineTestRequested,
    Resumed,
    SessionBegan,
    SessionEnded,
    SlotsPlanned,
    Started,
)
from protocol.core.start_events import EpochOpened, JournalRestored, KeysChanged, LinkConfirmed, WordsChosen
from protocol.errors import LocalProtocolError
from protocol.phrases import phrase, worded
from protocol.wire import canonical
from protocol.wire.canonical import CanonicalError
from protocol.wire.instants import Millis, parsed
from protocol.wire.messages import INTEGER_MAX, Text

AT_MAX: Millis = parsed("9000-01-01T00:00:00.000Z")
"""The latest time of an event. Every deadline that follows from it can still be written as an instant."""

_NONCE = re.compile(r"[0-9a-f]{16}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


def check_event(event: Event) -> None:
    """Raise LocalProtocolError(wrong_event) if a core cannot calculate with the fields of `event`."""
    if not (0 < event.at <= AT_MAX and 0 <= event.mono <= INTEGER_MAX):
        raise LocalProtocolError(
            "wrong_event", phrase("no clock of ours shows {at} ms, {mono} ms", at=event.at, mono=event.mono)
        )
    check = _CHECKS.get(type(event))
    if check is not None:
        check(event)


def _check_terms(event: EpochOpened) -> None:
    try:
        canonical.encode(event.terms)
    except CanonicalError as error:
        raise LocalProtocolError("wrong_event", phrase("terms without a digest: {error}", error=error)) from error


def _check_words(event: WordsChosen) -> None:
    words = [text for text in (event.test_text, event.answer_text) if text is not UNSET]
    try:
        canonical.encode(msgspec.convert(words, list[Text]))
    except (CanonicalError, msgspec.ValidationError) as error:
        raise LocalProtocolError(
            "wrong_event", phrase("words that no message can carry: {error}", error=error)
        ) from error


def _check_slots(event: Started | SlotsPlanned) -> None:
    _check_instants(*event.slots, event.slots_until)


def _check_since(event: Resumed) -> None:
    _check_instants(event.since)


def _check_end(event: CertificateSeen) -> None:
    _check_instants(event.ends_at)


def _check_step(event: ClockStepped) -> None:
    if not 0 < event.at - event.step_ms <= AT_MAX:
        raise LocalProtocolError(
            "wrong_event",
            phrase("no clock of ours showed {at} ms before it stepped", at=event.at - event.step_ms),
        )


def _check_nonce(event: DeadlineReached | LineTestRequested | KeysChanged) -> None:
    if not _NONCE.fullmatch(event.nonce):
        nonce = repr(event.nonce[:40])
        raise LocalProtocolError("wrong_event", phrase("not a nonce of 16 hexadecimal digits: {nonce}", nonce=nonce))


def _check_change(event: KeysChanged) -> None:
    _check_nonce(event)
    _check_digest(event.digest)


def _check_confirmation(event: LinkConfirmed) -> None:
    _check_digest(event.digest)
    _check_instants(event.compared_at)


def _check_restoration(event: JournalRestored) -> None:
    _check_digest(event.head)
    _check_instants(event.restored_at)


def _check_session(event: SessionBegan | SessionEnded) -> None:
    # SPEC W7.1
    if (event.role == "officer") != (event.officer is not UNSET):
        raise LocalProtocolError(
            "wrong_event", phrase("a session of role officer names the officer, any other names nobody")
        )


def _check_digest(digest: str) -> None:
    if not _DIGEST.fullmatch(digest):
        raise LocalProtocolError(
            "wrong_event", phrase("not a SHA-256 in hexadecimal: {digest}", digest=repr(digest[:80]))
        )


def _check_instants(*instants: str) -> None:
    for instant in instants:
        try:
            within = parsed(instant) <= AT_MAX
        except ValueError as error:
            raise LocalProtocolError("wrong_event", worded(error)) from error
        if not within:
            raise LocalProtocolError("wrong_event", phrase("{instant} is too far ahead", instant=instant))


_CHECKS: dict[type[Event], Callable[[Any], None]] = {
    EpochOpened: _check_terms,
    WordsChosen: _check_words,
    Started: _check_slots,
    SlotsPlanned: _check_slots,
    Resumed: _check_since,
    CertificateSeen: _check_end,
    ClockStepped: _check_step,
    DeadlineReached: _check_nonce,
    LineTestRequested: _check_nonce,
    KeysChanged: _check_change,
    LinkConfirmed: _check_confirmation,
    JournalRestored: _check_restoration,
    SessionBegan: _check_session,
    SessionEnded: _check_session,
}
