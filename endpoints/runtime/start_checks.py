"""Compares the link file with the journal and with the private keys, before a link starts."""

from __future__ import annotations

import shlex

from endpoints.config import confirmations
from endpoints.config.settings import EndpointSettings, LinkSettings, ProcessSettings, WatchSettings
from endpoints.errors import UserError
from endpoints.journal.restored import RestoredMark, interrupted, staging
from endpoints.journal.writer import UnusableJournal
from endpoints.keys.signer import Signer
from endpoints.structured_log import get_logger
from endpoints.texts.printable import one_line
from protocol.core.duty import Confirmation
from protocol.core.link import Link
from protocol.phrases import phrase, worded
from protocol.wire.digests import policy_digest
from protocol.wire.policy import Terms

_log = get_logger()


def check_terms(terms: Terms, known: Terms | None) -> None:
    """Raise UserError if the terms of the link file contradict those that the journal knows (SPEC E1.1)."""
    if known is None:
        return
    if terms.epoch < known.epoch:
        raise UserError(
            phrase(
                "link {link}: the link file says epoch {epoch}, the journal is in epoch {known} already; "
                "get the newer link file",
                link=terms.link,
                epoch=terms.epoch,
                known=known.epoch,
            )
        )
    if terms.epoch == known.epoch and policy_digest(terms) != policy_digest(known):
        raise UserError(
            phrase(
                "link {link}: the link file's policy is not the one that epoch {known} was opened with; "
                "a changed policy needs the next epoch: put the file back, and use deconflict link amend",
                link=terms.link,
                known=known.epoch,
            )
        )


def check_restored(settings: ProcessSettings, link: LinkSettings) -> None:
    """Raise UnusableJournal if a link's journal was restored and the link file has no newer epoch (SPEC E2.3).

    Also if a restore was interrupted. The watch needs no new epoch: it sends nothing.
    """
    if interrupted(link.journal):
        raise UnusableJournal(
            phrase(
                "{journal}: its restore was interrupted, and {staging} was left; repeat deconflict log restore",
                journal=link.journal,
                staging=staging(link.journal),
            ),
            heals=True,
        )
    try:
        restored = RestoredMark(link.journal).read()
    except UserError as error:
        raise UnusableJournal(worded(error), heals=True) from None
    if restored is None or isinstance(settings, WatchSettings) or link.content.terms.epoch > restored.epoch:
        return
    raise UnusableJournal(
        phrase(
            "{journal}: restored from {source} at {when}, so what followed is missing in it; first both sides open a "
            "new epoch, later than {epoch}: {command}",
            journal=link.journal,
            source=one_line(restored.source),
            when=restored.restored_at,
            epoch=restored.epoch,
            command=shlex.join(["deconflict", "epoch", str(settings.path), *settings.choosing(link.id)]),
        ),
        heals=True,
    )


def frame_signer(settings: EndpointSettings, link: LinkSettings, core: Link) -> Signer:
    """Return the signer of a link: of the private keys, those that the link file enrols for this side.

    Those that it does not enrol sign nothing: another link's, one that was taken out of the file, one that is prepared.

    Raises UserError if no key fits, and if `core` accepts others of this side beside those that are here.
    """
    suite, file = link.content.terms.policy.suite, link.content
    enrolled = file.keys[settings.side]
    held = Signer.load(settings.keys, suite)
    algorithm = held.lacking(enrolled)
    if algorithm is not None:
        raise UserError(
            phrase(
                "{keys}: no {algorithm} key there ({found}) is among those that {file} enrols for {side}: the other "
                "side would refuse every frame; enrol it there, or use the enrolled key",
                keys=settings.keys,
                algorithm=algorithm,
                found=_names(held, algorithm),
                file=link.file,
                side=settings.side,
            )
        )
    signer = held.only(enrolled)
    if core.terms is None or core.terms.epoch != file.terms.epoch or not core.keys.agreed:
        return signer
    # SPEC F5.6
    keys = core.keys.changed(file.keys, file.digest, nonce="0", watch=file.watch_keys)
    accepted = keys.accepted.get(settings.side, ())
    algorithm = signer.lacking(accepted) if keys.satisfy(settings.side, suite) else None
    if algorithm is not None:
        raise UserError(
            phrase(
                "{keys}: no officer has accepted key {key} yet, and {file} still enrols {other}; keep signing with "
                "that one until the alarm keys_changed is acknowledged",
                keys=settings.keys,
                key=_names(signer, algorithm),
                file=link.file,
                other=", ".join(key.id for key in accepted if key.algorithm == algorithm),
            )
        )
    return signer


def comparison(settings: EndpointSettings, link: LinkSettings, core: Link) -> Confirmation | None:
    """Return the comparison of this link file that an enrolled officer has noted, None if there is none.

    Raises UserError for an actual link without one whose epoch the journal does not have open yet (SPEC E1.8).
    """
    content = link.content
    if (note := confirmations.noted(settings, content)) is not None:
        return Confirmation(note.officer, note.compared_at, note.digest, note.first_word)
    opened = core.terms is not None and core.terms.epoch >= content.terms.epoch
    if content.terms.policy.status == "actual" and not opened:
        raise confirmations.unconfirmed(settings, content, link.file, *settings.choosing(link.id))
    return None


def head_signer(settings: WatchSettings, link: LinkSettings) -> Signer | None:
    """Return what signs the heads of a link's journal: of the watch's keys, those that the link file enrols.

    None if the settings or the link file name no key for it. A key that waits for an officer signs too: an audit judges
    the watch's heads by the link files alone, whatever the journal accepts.

    Raises UserError if the link file enrols other keys for the watch.
    """
    enrolled = link.content.watch_keys
    if settings.keys is None or not enrolled:
        if enrolled:
            _log.warning("heads are not signed", link=link.id, why="the watch's settings name no folder of keys")
        return None
    held = Signer.load(settings.keys, link.content.terms.policy.suite)
    algorithm = held.lacking(enrolled)
    if algorithm is not None:
        raise UserError(
            phrase(
                "{keys}: no {algorithm} key there ({found}) is among those that {file} enrols for the watch: no audit "
                "would accept its signed heads; enrol it there, or use the enrolled key",
                keys=settings.keys,
                algorithm=algorithm,
                found=_names(held, algorithm),
                file=link.file,
            )
        )
    return held.only(enrolled)


def _names(signer: Signer, algorithm: str) -> str:
    return ", ".join(key.id for key in signer.enrolled if key.algorithm == algorithm)
