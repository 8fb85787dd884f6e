"""The public keys of a link: those that people agreed to, and a change of the link file that waits for an officer.

The core and an audit of its journal both follow the keys with `LinkKeys`, so that they agree on the keys that counted
at each record (SPEC F5.4, F5.5, F5.6).
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping, Sequence
from hashlib import sha256

from msgspec import Struct

from protocol.errors import LocalProtocolError
from protocol.phrases import phrase
from protocol.wire.envelope import SUITE_ALGORITHMS
from protocol.wire.messages import Digest, Identifier
from protocol.wire.policy import EnrolledKey
from protocol.wire.words import FINGERPRINT_WORDS, WORDS, fingerprint_words

Keys = Mapping[str, Sequence[EnrolledKey]]

WORDS_ASKED = 3
"""How many words of the fingerprint an officer types to accept other keys."""
SUBJECT_DIGITS = 16
"""The digits of the link file's digest that name a change: the subject of its alarm."""
NAMED_MAX = 8
"""How many keys the alarm names; it counts the others."""
_WATCH = "[watch]"
"""Stands for the watch where keys are listed by party: no party has this name."""


class PendingKeys(Struct, frozen=True):
    """The keys of a changed link file that no officer has accepted yet."""

    keys: dict[Identifier, tuple[EnrolledKey, ...]]
    # the digest of the link file
    digest: Digest
    # the place, from 1, of the first word of the fingerprint that an officer has to type
    words_from: int
    # the watch's keys, which verify no frame (SPEC E1.9)
    watch: tuple[EnrolledKey, ...] = ()

    @property
    def subject(self) -> str:
        """The subject of the alarm about this change."""
        return self.digest[:SUBJECT_DIGITS]


class KeyChange(Struct, frozen=True, kw_only=True):
    """A change that waits for an officer, as people see it.

    Attributes:
        subject: the subject of its alarm.
        added, removed: the keys: see `named`.
        words_from: the place, from 1, of the first word to type.
        fingerprint: the words of the link file's fingerprint by language, with `[6]` in place of word 6 if it is asked
            for.
    """

    subject: str
    added: tuple[str, ...]
    removed: tuple[str, ...]
    words_from: int
    fingerprint: dict[str, tuple[str, ...]]


class LinkKeys(Struct, frozen=True):
    """The keys of a link, by party.

    Attributes:
        agreed: the keys that people have agreed to: the first ones, those of a new epoch, or accepted by an officer.
        pending: a change of the link file that no officer has accepted yet, None if there is none.
        watch: the watch's keys that people have agreed to. They verify no frame (SPEC E1.9).
    """

    agreed: dict[Identifier, tuple[EnrolledKey, ...]] = {}
    pending: PendingKeys | None = None
    watch: tuple[EnrolledKey, ...] = ()

    @property
    def accepted(self) -> dict[Identifier, tuple[EnrolledKey, ...]]:
        """The keys that verify signatures now: those agreed to that the link file still has (SPEC F5.4)."""
        if self.pending is None:
            return self.agreed
        file = self.pending.keys
        return {party: tuple(key for key in keys if key in file.get(party, ())) for party, keys in self.agreed.items()}

    @property
    def change(self) -> KeyChange | None:
        """The change that waits for an officer, None if there is none."""
        pending = self.pending
        if pending is None:
            return None
        before, after = {**self.agreed, _WATCH: self.watch}, {**pending.keys, _WATCH: pending.watch}
        asked = range(pending.words_from, pending.words_from + WORDS_ASKED)
        fingerprint = {
            language: tuple(
                f"[{place}]" if place in asked else word
                for place, word in enumerate(fingerprint_words(pending.digest, language), 1)
            )
            for language in WORDS
        }
        return KeyChange(
            subject=pending.subject,
            added=named(after, before),
            removed=named(before, after),
            words_from=pending.words_from,
            fingerprint=fingerprint,
        )

    def differ(self, keys: Keys, digest: Digest, watch: Sequence[EnrolledKey] = ()) -> bool:
        """Return whether a link file with these keys and digest is a change that is not known yet."""
        if self.pending is None:
            return not (same(self.agreed, keys) and set(self.watch) == set(watch))
        # the digest covers the keys of the watch
        return not (same(self.pending.keys, keys) and self.pending.digest == digest)

    def changed(
        self,
        keys: dict[Identifier, tuple[EnrolledKey, ...]],
        digest: Digest,
        nonce: str,
        watch: tuple[EnrolledKey, ...] = (),
    ) -> LinkKeys:
        """Return the keys after `KeysChanged`: the difference waits for an officer; going back ends the wait."""
        if same(self.agreed, keys) and set(self.watch) == set(watch):
            return LinkKeys(self.agreed, watch=self.watch)
        place = int(nonce, 16) % (FINGERPRINT_WORDS - WORDS_ASKED + 1) + 1
        return LinkKeys(self.agreed, PendingKeys(keys, digest, place, watch), self.watch)

    def acknowledged(self, subject: str, words: object) -> LinkKeys:
        """Return the keys after the acknowledgement of the alarm about change `subject`: those of the link file.

        An alarm about a change that is over changes nothing. Raises LocalProtocolError(wrong_words) unless `words` are
        the words asked for, in English or Russian.
        """
        pending = self.pending
        if pending is None or pending.subject != subject:
            return self
        first, last = pending.words_from, pending.words_from + WORDS_ASKED - 1
        if words not in [fingerprint_words(pending.digest, language)[first - 1 : last] for language in WORDS]:
            raise LocalProtocolError(
                "wrong_words",
                phrase(
                    "type words {first} to {last} of the new link file's fingerprint, as the other side reads them "
                    "from its file; with other words there, the files differ: leave the alarm open",
                    first=first,
                    last=last,
                ),
            )
        return LinkKeys(pending.keys, watch=pending.watch)

    def satisfy(self, party: Identifier, suite: str) -> bool:
        """Return whether the accepted keys of `party` can make a signature that `suite` requires.

        A party whose keys nobody has enrolled yet is not held back.
        """
        if self.pending is None:
            return True
        algorithms = {key.algorithm for key in self.accepted.get(party, ())}
        return algorithms.issuperset(SUITE_ALGORITHMS[suite])


def same(one: Keys, other: Keys) -> bool:
    """Return whether both have the same keys for each party, in any order."""
    return {party: set(keys) for party, keys in one.items()} == {party: set(keys) for party, keys in other.items()}


def detail_of(change: KeyChange) -> str:
    """Return the alarm's line about a change."""
    words = "; ".join(f"{language}: {' '.join(each)}" for language, each in change.fingerprint.items())
    return phrase(
        "added {added}; removed {removed}; added keys verify nothing until an officer accepts them; "
        "fingerprint: {words}",
        added=_listed(change.added),
        removed=_listed(change.removed),
        words=words,
    )


def named(keys: Keys, without: Keys) -> tuple[str, ...]:
    """Return the keys that are in `keys` and not in `without`, as `party/key id (digits)`.

    The digits are the first 16 of the public key's SHA-256, since two keys may have one id.
    """
    return tuple(
        f"{party}/{_harmless(key.id)} ({_digits(key)})"
        for party in keys
        for key in keys[party]
        if key not in without.get(party, ())
    )


def _listed(names: Sequence[str]) -> str:
    if not names:
        return phrase("none")
    listed = ", ".join(names[:NAMED_MAX])
    more = len(names) - NAMED_MAX
    return phrase("{listed} and {count} more", listed=listed, count=more) if more > 0 else listed


def _harmless(key_id: str) -> str:
    """Return a key id, which may be any text, as one word without control characters."""
    return "".join(each if each.isascii() and (each.isalnum() or each in "-_.") else "?" for each in key_id)[:64]


def _digits(key: EnrolledKey) -> str:
    try:
        public = b64decode(key.public, validate=True)
    except ValueError:
        public = key.public.encode("utf-8", "surrogatepass")
    return sha256(public).hexdigest()[:16]
