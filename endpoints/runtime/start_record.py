"""Finds what the link file and the settings have that the journal does not know yet (SPEC E1.6)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec import UNSET

from endpoints.config.link_file import LinkFile
from endpoints.journal.restored import RestoredMark
from endpoints.runtime.ports import NonceSource, Now, RunnableCore
from protocol.core.events import AnyEvent
from protocol.core.start_events import EpochOpened, KeysChanged, KeysEnrolled, OfficersEnrolled
from protocol.wire.keyring import Keyring
from protocol.wire.messages import Digest, Identifier


def check_keys(core: RunnableCore, file: LinkFile) -> None:
    """Raise EnrolmentError for keys that may not be enrolled (SPEC F5.1, F5.2).

    The first ones, and those of a new epoch, must have what the suite requires (SPEC F5.3). Under the epoch that the
    core has open, a revoked key may leave a party without (SPEC F5.4).
    """
    known, terms = core.terms, file.terms
    begins = known is None or terms.epoch > known.epoch or not core.keys.agreed
    Keyring(file.keys, terms.policy.suite, complete=begins)


def begin(
    core: RunnableCore,
    file: LinkFile,
    officers: Mapping[Identifier, Digest] | None,
    draw_nonce: NonceSource,
    now: Now,
    restored: RestoredMark,
) -> Iterator[AnyEvent]:
    """Yield the events that precede `Started`: a restored journal, new terms, keys and officers.

    Args:
        core: the core, after all that the journal holds; it takes each event before the next one.
        file: the link file, whose terms do not contradict the core's.
        officers: those of the settings, each with the digest of their entry; None if there can be none.
        draw_nonce: draws the place of the words that an officer has to type.
        now: the reading of the clocks.
        restored: the mark of the journal's folder.

    Raises UserError if the mark can't be read.
    """
    terms, known = file.terms, core.terms
    if (restoration := restored.event(known, now.at, now.mono)) is not None:
        # SPEC E2.3
        yield restoration
    new_epoch = known is None or terms.epoch > known.epoch
    if known is None:
        yield EpochOpened(at=now.at, mono=now.mono, terms=terms, rules=core.RULES)
    elif new_epoch:
        yield EpochOpened(at=now.at, mono=now.mono, terms=terms)
    yield from _keys(core, file, draw_nonce, now, new_epoch=new_epoch)
    if officers is not None and core.officers != officers:
        yield OfficersEnrolled(at=now.at, mono=now.mono, officers=dict(officers))


def _keys(
    core: RunnableCore, file: LinkFile, draw_nonce: NonceSource, now: Now, *, new_epoch: bool
) -> Iterator[AnyEvent]:
    """Yield the keys of the link file, if the journal does not know them (SPEC F5.4)."""
    keys, digest, known = file.keys, file.digest, core.keys
    watch = file.watch_keys or UNSET
    if not known.differ(keys, digest, file.watch_keys) and not (new_epoch and known.pending):
        return
    if new_epoch or not known.agreed:
        yield KeysEnrolled(at=now.at, mono=now.mono, keys=keys, watch=watch)
    else:
        nonce = draw_nonce()
        yield KeysChanged(at=now.at, mono=now.mono, keys=keys, digest=digest, nonce=nonce, watch=watch)
