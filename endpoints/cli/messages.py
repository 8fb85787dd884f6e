"""`deconflict messages`: lists the messages of both directions and their state, or those that wait for an officer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from msgspec import Struct

from endpoints.cli import options
from endpoints.cli.link_status import say_link
from endpoints.cli.output import console, print_indented, print_json
from endpoints.errors import UserError
from protocol.phrases import phrase

if TYPE_CHECKING:
    from endpoints.clocks.clock import Clock
    from endpoints.config.settings import LinkSettings, ProcessSettings
    from endpoints.texts.i18n import Translator
    from protocol.record.ledger_entries import LedgerEntry
    from protocol.wire.instants import Millis
    from protocol.wire.messages import Utc

_COLOURS = {
    "queued": "yellow",
    "sent": "yellow",
    "received": "cyan",
    "receipted": "cyan",
    "acknowledged": "green",
    "will_reply": "yellow",
    "refused": "red",
    "changed": "bright_black",
    "cancelled": "bright_black",
    "undelivered": "bold red",
}
Open = Annotated[
    bool,
    Parameter(
        name="--open",
        negative="",
        help="Only what waits for an officer here: alerts to acknowledge, line tests to answer, drafts to release; "
        "flash first, then by deadline.",
    ),
]
Since = Annotated[
    str | None,
    Parameter(
        allow_leading_hyphen=True,
        help="Only what was recorded here since then: -2h, 17:05 today, 2022-11-29T16:00 on this site's clocks.",
    ),
]
Limit = Annotated[int | None, Parameter(help="At most so many: the newest, or with --open the most urgent.")]
Follow = Annotated[bool, Parameter(negative="", help="Keep running, and show every message that arrives or changes.")]


class _Selection(Struct, frozen=True):
    """Which messages of a journal are shown."""

    # recorded at this side at this instant or later; None for all
    since: Millis | None
    # the newest so many; None for all
    limit: int | None

    def of(self, entries: Iterable[LedgerEntry]) -> list[LedgerEntry]:
        from protocol.wire.instants import parsed

        chosen = [each for each in entries if self.since is None or parsed(_recorded_at(each)) >= self.since]
        return chosen if self.limit is None else chosen[-self.limit :]


def messages(
    config: options.Config,
    /,
    *,
    is_open: Open = False,
    since: Since = None,
    limit: Limit = None,
    follow: Follow = False,
    link: options.LinkId = None,
    lang: options.Lang = None,
    as_json: options.AsJson = False,
) -> None:
    """List the messages of both directions from the journal, whether or not the endpoint is running.

    What waits for an officer is asked from the running endpoint.
    """
    from endpoints.clocks.clock import clock
    from endpoints.config import settings
    from endpoints.inputs.instants import instant
    from endpoints.texts.i18n import translator

    if limit is not None and limit < 1:
        raise UserError(phrase("--limit: expected a number from 1, found {found}", found=limit))
    if is_open and (follow or since is not None):
        raise UserError(
            phrase("--open lists all that waits now; give it without --follow and --since, or see status --follow")
        )
    found = settings.load(config)
    chosen = found.link(link)
    t = translator(lang)
    clocks = clock(found.exercise_clock)
    if not as_json:
        say_link(found, chosen, t)
    if is_open:
        from endpoints.cli.open_messages import print_open

        print_open(found, chosen, t, clocks, limit=limit, as_json=as_json)
        return
    zone = chosen.content.zone_of(found.side)
    begin = None if since is None else instant(since, option="since", now=clocks.now()[0], zone=zone)
    selection = _Selection(begin, limit)
    if follow:
        _follow(chosen, selection, t, zone, clocks, as_json=as_json)
    else:
        _list(found, chosen, selection, t, clocks, as_json=as_json)


def _list(
    found: ProcessSettings, chosen: LinkSettings, selection: _Selection, t: Translator, clocks: Clock, *, as_json: bool
) -> None:
    """Show the messages that the journal has now."""
    from endpoints.journal.reader import JournalReader
    from endpoints.texts.items import message_row
    from protocol.record.ledger import ledger_of

    ledger = ledger_of(JournalReader(str(chosen.journal)).whole_records())
    now, _ = clocks.now()
    entries = selection.of(ledger.entries.values())
    if as_json:
        rows = [message_row(ledger, entry, now) for entry in entries]
        status = chosen.content.terms.policy.status
        print_json({"link": ledger.link, "status": status, "side": ledger.side, "messages": rows})
        return
    for entry in entries:
        _show(entry, t, chosen.content.zone_of(found.side), now)


def _follow(
    chosen: LinkSettings, selection: _Selection, t: Translator, zone: str, clocks: Clock, *, as_json: bool
) -> None:
    """Show the messages that are selected, then each one again when it arrives or changes."""
    from endpoints.journal.follower import follow
    from endpoints.texts.items import message_row
    from protocol.record.ledger import Ledger

    ledger = Ledger()
    changed: dict[str, LedgerEntry] = {}
    for record in follow(chosen.journal):
        if record is not None:
            changed |= {str(entry.reference): entry for entry in ledger.take(record)}
            continue
        now, _ = clocks.now()
        for entry in selection.of(changed.values()):
            if as_json:
                print_json(message_row(ledger, entry, now))
            else:
                _show(entry, t, zone, now)
        changed.clear()
        # from now on, each change is news, also of an older message
        selection = _Selection(None, None)


def _recorded_at(entry: LedgerEntry) -> Utc:
    """Return when this side recorded a message: its sender's clock may be wrong."""
    return entry.queued_at or entry.received_at or entry.at


def _show(entry: LedgerEntry, t: Translator, zone: str, now: Millis) -> None:
    from rich.text import Text

    from endpoints.texts.items import stale
    from endpoints.texts.printable import one_line
    from endpoints.texts.wording import age_warning, local, wording
    from protocol.wire.instants import parsed

    when = local(entry.at, t, zone)
    arrived = None if entry.received_at is None else parsed(entry.received_at)
    warning = age_warning(stale(entry, now), t, now, zone, arrived=arrived)
    state = one_line(t.term("way", entry.state) + _who(entry, t))
    head = Text.assemble((when, "bright_black"), "  ", (str(entry.reference), "bold"))
    said = Text.assemble((warning, "bold yellow"), wording(entry.body, t, zone))
    standing = Text(state, _COLOURS[entry.state])
    out = console()
    if out.is_terminal:
        out.print(Text("  ").join([head, standing]))
        print_indented(out, said, columns=4)
    else:
        # foreign text stands last: it can imitate nothing that follows it
        out.print(Text("  ").join([head, standing, said]))


def _who(entry: LedgerEntry, t: Translator) -> str:
    """Return what follows the state: the alert that changed this one, or who refused or acknowledged it."""
    from protocol.record.ledger_entries import SERVICE

    if entry.changed_by is not None:
        return f" {t('by {reference}', reference=entry.changed_by)}"
    who = entry.refused_by or (entry.replied.officer or SERVICE if entry.replied else None)
    return f", {who}" if who else ""
