"""Follows the keys in the link file, and raises the alarm about a change under one epoch (SPEC F5.4, F5.5, F5.6)."""

from __future__ import annotations

from msgspec import UNSET

from protocol.core.alarm_book import AlarmBook
from protocol.core.alarms import Alarm, AlarmCode
from protocol.core.core_state import CoreState
from protocol.core.deadlines import Turn
from protocol.core.events import AlarmAcknowledged
from protocol.core.link_keys import LinkKeys, detail_of
from protocol.core.start_events import KeysChanged, KeysEnrolled
from protocol.errors import LocalProtocolError
from protocol.phrases import phrase


class KeyChanges:
    """The keys of one core, and the alarm about a change that waits for an officer."""

    def __init__(self, state: CoreState, alarms: AlarmBook) -> None:
        self._state = state
        self._alarms = alarms

    def enrolled(self, turn: Turn, event: KeysEnrolled) -> None:
        """Take the first keys, or those of a new epoch: people have agreed to them.

        Rules 1 and 2 also enrolled changed keys so; an audit reports that in records of the present rules.
        """
        self._state.keys = LinkKeys(event.keys, watch=event.watch or ())
        self._alarms.clear_all(turn, AlarmCode.KEYS_CHANGED)

    def changed(self, turn: Turn, event: KeysChanged) -> None:
        """Take other keys under the same epoch: removed ones stop at once, added ones wait for an officer."""
        self._state.keys = keys = self._state.keys.changed(event.keys, event.digest, event.nonce, event.watch or ())
        # an earlier change is over: this one has replaced it
        self._alarms.clear_all(turn, AlarmCode.KEYS_CHANGED)
        change = keys.change
        if change is not None:
            detail, words_from = detail_of(change), change.words_from
            self._alarms.raise_alarm(turn, AlarmCode.KEYS_CHANGED, change.subject, detail=detail, words_from=words_from)

    def acknowledged(self, turn: Turn, alarm: Alarm, event: AlarmAcknowledged) -> None:
        """Acknowledge an alarm; accept the changed keys if it is about them (SPEC F5.5).

        Raises LocalProtocolError for wrong words, and for words that the alarm does not ask for.
        """
        asked = alarm.code is AlarmCode.KEYS_CHANGED and alarm.active
        if not asked and event.words is not UNSET:
            name = f"{alarm.code}/{alarm.subject}"
            raise LocalProtocolError(
                "wrong_words", phrase("alarm {alarm} asks for no words: acknowledge it without them", alarm=name)
            )
        if asked:
            self._state.keys = self._state.keys.acknowledged(event.subject, event.words)
        self._alarms.acknowledge(turn, alarm, event.officer)
        if asked:
            self._alarms.clear(turn, AlarmCode.KEYS_CHANGED, event.subject)
