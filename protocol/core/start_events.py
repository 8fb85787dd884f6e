"""Events that a start records before `Started`: what the service finds in the link file and in its settings."""

from __future__ import annotations

from msgspec import UNSET, UnsetType

from protocol.core.event import Event
from protocol.core.event_fields import Draw, Rules, WordPlace
from protocol.wire.messages import Count, Digest, Identifier, Text, Utc
from protocol.wire.policy import EnrolledKey, Terms


class EpochOpened(Event, frozen=True, kw_only=True):
    """The service found terms in the link file that are new to the journal (SPEC E1, E2)."""

    terms: Terms
    # in record 1: the version of the rules of the records that follow; "1" if it is missing
    rules: Rules | UnsetType = UNSET


class KeysEnrolled(Event, frozen=True, kw_only=True):
    """The service found the first keys in the link file, or those of a new epoch, by party (SPEC F5.4)."""

    keys: dict[Identifier, tuple[EnrolledKey, ...]]
    # the watch's, which verify no frame (SPEC E1.9); absent if it has none
    watch: tuple[EnrolledKey, ...] | UnsetType = UNSET


class KeysChanged(Event, frozen=True, kw_only=True):
    """The service found other keys in the link file under the same epoch (SPEC F5.4).

    Keys that `keys` lacks are no longer accepted. New ones are accepted once an officer has acknowledged the alarm
    `keys_changed` with words of the fingerprint. With the keys that were agreed to before, nothing waits.
    """

    keys: dict[Identifier, tuple[EnrolledKey, ...]]
    # the digest of the link file, from which the words of its fingerprint derive
    digest: Digest
    # which of the words an officer has to type derives from it
    nonce: Draw
    watch: tuple[EnrolledKey, ...] | UnsetType = UNSET


class OfficersEnrolled(Event, frozen=True, kw_only=True):
    """The service found other officers in its settings. An audit names acts of officers who were not enrolled."""

    # the SHA-256 of each officer's entry in the settings, by officer
    officers: dict[Identifier, Digest]


class WordsChosen(Event, frozen=True, kw_only=True):
    """The service found other words of its own for line tests in the settings; absent ones are the policy's."""

    test_text: Text | UnsetType = UNSET
    answer_text: Text | UnsetType = UNSET


class LinkConfirmed(Event, frozen=True, kw_only=True):
    """An officer has compared the fingerprint of the link file with the other side's, and it is equal (SPEC E1.8)."""

    officer: Identifier
    # the digest of the link file that was compared
    digest: Digest
    compared_at: Utc
    # the place of the word with which the other side began to read
    first_word: WordPlace


class JournalRestored(Event, frozen=True, kw_only=True):
    """The service found that its journal was restored from a copy, and perhaps lacks the newest records (SPEC E2.3)."""

    restored_at: Utc
    # the copy's, when it was restored: the number of its last record, and the hash of that record
    records: Count
    head: Digest


BEFORE_STARTED: frozenset[type[Event]] = frozenset(
    {EpochOpened, KeysEnrolled, KeysChanged, OfficersEnrolled, WordsChosen, LinkConfirmed, JournalRestored}
)
"""They belong to the absence that `Started` measures, and need no open epoch."""
