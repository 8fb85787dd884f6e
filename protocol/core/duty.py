"""Who is on watch at one side, who compared the link file, and the words of line tests: what no peer is told."""

from __future__ import annotations

from msgspec import UNSET, Struct

from protocol.core.deadlines import Turn
from protocol.core.events import WatchLeft, WatchTaken
from protocol.core.start_events import OfficersEnrolled, WordsChosen
from protocol.errors import LocalProtocolError
from protocol.phrases import phrase
from protocol.wire.messages import Digest, Identifier, Text, Utc
from protocol.wire.policy import Policy


class OnWatch(Struct, frozen=True):
    """The officer on watch, and since when."""

    officer: Identifier
    since: Utc


class Confirmation(Struct, frozen=True):
    """The comparison of a link file's fingerprint with the other side's (SPEC E1.8): by whom, when, of which file.

    `first_word` is the place of the word with which the other side began to read.
    """

    officer: Identifier
    at: Utc
    digest: Digest
    first_word: int


class OwnWords(Struct):
    """A side's words for the line tests that it places and answers (SPEC B2.4); None: the policy's."""

    test_text: Text | None = None
    answer_text: Text | None = None

    def choose(self, event: WordsChosen) -> None:
        """Take the words of the settings."""
        self.test_text, self.answer_text = event.test_text or None, event.answer_text or None

    def test_of(self, policy: Policy) -> Text:
        """Return the text of the tests that this side places."""
        return self.test_text or policy.test_text

    def answer_of(self, policy: Policy) -> Text:
        """Return the text of the answers that this side gives."""
        return self.answer_text or policy.answer_text


def taken(before: OnWatch | None, turn: Turn, event: WatchTaken) -> OnWatch:
    """Return who is on watch after `event` (SPEC W7).

    An officer who has the watch already keeps it, since when they took it. Raises LocalProtocolError(conflict) unless
    `relieves` names the officer on watch.
    """
    relieves = None if event.relieves is UNSET else event.relieves
    if before is not None and before.officer == event.officer and relieves in {None, event.officer}:
        return before
    if before is None and relieves is not None:
        raise LocalProtocolError(
            "conflict", phrase("{officer} is not on watch, nor is anybody: relieve nobody", officer=relieves)
        )
    if before is not None and relieves != before.officer:
        raise LocalProtocolError(
            "conflict",
            phrase(
                "{officer} is on watch since {since}: relieve {officer}", officer=before.officer, since=before.since
            ),
        )
    return OnWatch(event.officer, turn.utc)


def still_enrolled(before: OnWatch | None, event: OfficersEnrolled) -> OnWatch | None:
    """Return who is on watch under a new roster: nobody, if it lacks the officer on watch (SPEC W7)."""
    return before if before is not None and before.officer in event.officers else None


def check_leaving(before: OnWatch | None, event: WatchLeft) -> None:
    """Raise LocalProtocolError(conflict) unless the officer of `event` is on watch (SPEC W7)."""
    if before is None:
        raise LocalProtocolError("conflict", phrase("{officer} is not on watch, nor is anybody", officer=event.officer))
    if before.officer != event.officer:
        raise LocalProtocolError(
            "conflict",
            phrase(
                "{officer} is not on watch: {other} is on watch since {since}",
                officer=event.officer,
                other=before.officer,
                since=before.since,
            ),
        )
