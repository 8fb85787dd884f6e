"""What the journals say about the officers of a configuration, for `deconflict officer list` and `remove`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from endpoints.cli.output import print_lines
from endpoints.errors import UserError
from protocol.errors import LinkError

if TYPE_CHECKING:
    from endpoints.config.settings import EndpointSettings, LinkSettings, WatchSettings
    from endpoints.config.settings_tables import EndpointTable, WatchTable
    from endpoints.texts.i18n import Translator
    from protocol.core.snapshot import Snapshot
    from protocol.record.ledger import Ledger


def officer_rows(found: EndpointSettings | WatchSettings, t: Translator) -> list[dict[str, Any]]:
    """Return a row for each officer in the settings: id, name, since when they are enrolled, where they have the watch.

    `since` is None if no journal says it: they are not in it yet, or since before it begins (`in_journal`). A journal
    that cannot be read is named on standard error.
    """
    known = [(link.id, *said) for link in found.links if (said := _journal_of(found, link, t)) is not None]
    return [
        {
            "officer": officer,
            "name": entry.name,
            "since": min(filter(None, (ledger.officers.get(officer) for _, ledger, _ in known)), default=None),
            "in_journal": any(officer in ledger.officers for _, ledger, _ in known),
            "on_watch": [link for link, _, now in known if now.on_watch and now.on_watch.officer == officer],
        }
        for officer, entry in found.officers.items()
    ]


def consequences(config: Path, officer: str, raw: EndpointTable | WatchTable, t: Translator) -> Iterator[str]:
    """Yield what follows if `officer` is removed from the settings `config`, whose form is `raw`, a line for each."""
    from endpoints.config import roster, settings

    name = raw.officers[officer].name
    left = [each for each in raw.officers if each != officer]
    yield t("{officer}, {name}", officer=officer, name=name) if name not in ("", officer) else officer
    yield "  " + t("can do nothing here any more; what they did stays in the journal")
    if not left:
        yield "  " + t("is the last officer: nobody can acknowledge an alarm of the watch any more")
    if roster.left_credential(config, officer).is_file():
        yield "  " + t("their credential is deleted: {file}", file=roster.left_credential(config, officer))
    try:
        found = settings.load(config)
    except UserError as error:
        yield "  " + t("what else follows is not known: {error}", error=error)
        return
    for link in found.links:
        yield from ("  " + line for line in _of_link(link, officer, left, found, t))


def _of_link(
    link: LinkSettings, officer: str, left: list[str], found: EndpointSettings | WatchSettings, t: Translator
) -> Iterator[str]:
    """Yield what follows at one link."""
    from endpoints.cli.link_status import link_words
    from endpoints.cli.present_state import present_state
    from endpoints.config import confirmations
    from endpoints.config.settings import EndpointSettings
    from protocol.core.rules import FOUR_EYES

    policy = link.content.terms.policy
    where = link_words(link.id, policy.status, t)
    if isinstance(found, EndpointSettings) and policy.four_eyes and len(left) == FOUR_EYES - 1:
        yield t(
            "{link}: one officer is left, and nobody can release an alert of precedence {precedences}, which needs two",
            link=where,
            precedences=", ".join(t.term("precedence", each) for each in policy.four_eyes),
        )
    try:
        now = present_state(found, link)
        note = confirmations.load(found.path.absolute().parent, link.id)
    except LinkError as error:
        yield t("{link}: what it has of theirs is not known: {error}", link=where, error=error)
        return
    if note is not None and note.officer == officer and (now is None or now.confirmed is None):
        yield t(
            "{link}: compared the link file by voice, which no start has recorded: another officer compares it again",
            link=where,
        )
    if now is None:
        return
    if now.on_watch is not None and now.on_watch.officer == officer:
        yield t("{link}: has the watch, which nobody has then", link=where)
    for draft in now.drafts:
        if draft.officer == officer:
            yield t(
                "{link}: wrote {draft}, which nobody can release any more: it has to be discarded",
                link=where,
                draft=draft.draft,
            )


def _journal_of(
    found: EndpointSettings | WatchSettings, link: LinkSettings, t: Translator
) -> tuple[Ledger, Snapshot] | None:
    """Return the history and the present state of a link, None if it has none; say on standard error why not."""
    from endpoints.cli.present_state import present_state
    from endpoints.journal.reader import JournalReader
    from protocol.record.ledger import ledger_of

    try:
        now = present_state(found, link)
        return None if now is None else (ledger_of(JournalReader(str(link.journal)).whole_records()), now)
    except LinkError as error:
        print_lines([t("{link}: its journal says nothing: {error}", link=link.id, error=error)], stderr=True)
        return None
