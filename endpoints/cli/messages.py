"""`deconflict messages`: lists the messages of both directions and their state."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from endpoints.cli import options
from endpoints.cli.output import console, print_indented, print_json

if TYPE_CHECKING:
    from endpoints.clocks.clock import Clock
    from endpoints.texts.i18n import Translator
    from protocol.record.ledger_entries import LedgerEntry
    from protocol.wire.instants import Millis

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
Follow = Annotated[bool, Parameter(negative="", help="Keep running, and show every message that arrives or changes.")]


def messages(
    config: options.Config,
    /,
    *,
    follow: Follow = False,
    link: options.LinkId = None,
    lang: options.Lang = None,
    as_json: options.AsJson = False,
) -> None:
    """List the messages of both directions from the journal, whether or not the endpoint is running."""
    from endpoints.cli.items import message_row
    from endpoints.clocks.clock import clock
    from endpoints.config import settings
    from endpoints.journal.reader import JournalReader
    from endpoints.texts.i18n import translator
    from protocol.record.ledger import ledger_of

    found = settings.load(config)
    chosen = found.link(link)
    zone = chosen.content.zone_of(found.side)
    t = translator(lang)
    clocks = clock(found.exercise_clock)
    if follow:
        _follow(chosen.journal, t, zone, clocks, as_json=as_json)
        return
    ledger = ledger_of(JournalReader(str(chosen.journal)).whole_records())
    now, _ = clocks.now()
    if as_json:
        rows = [message_row(ledger, entry, now) for entry in ledger.entries.values()]
        print_json({"link": ledger.link, "side": ledger.side, "messages": rows})
    else:
        for entry in ledger.entries.values():
            _show(entry, t, zone, now)


def _follow(folder: Path, t: Translator, zone: str, clocks: Clock, *, as_json: bool) -> None:
    """Show all messages, then each one again when it arrives or changes."""
    from endpoints.cli.items import message_row
    from endpoints.journal.follower import follow
    from protocol.record.ledger import Ledger

    ledger = Ledger()
    changed: dict[str, LedgerEntry] = {}
    for record in follow(folder):
        if record is not None:
            changed |= {str(entry.reference): entry for entry in ledger.take(record)}
            continue
        now, _ = clocks.now()
        for entry in changed.values():
            if as_json:
                print_json(message_row(ledger, entry, now))
            else:
                _show(entry, t, zone, now)
        changed.clear()


def _show(entry: LedgerEntry, t: Translator, zone: str, now: Millis) -> None:
    from rich.text import Text

    from endpoints.cli.items import stale
    from endpoints.texts.printable import one_line
    from endpoints.texts.wording import age_warning, wording
    from protocol.wire.instants import parsed

    when = t.instant(parsed(entry.at), zone)
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
