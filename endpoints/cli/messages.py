"""`deconflict messages`: lists the messages of both directions and their state."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from endpoints.cli import options
from endpoints.cli.output import console, print_indented, print_json

if TYPE_CHECKING:
    from endpoints.texts.i18n import Translator
    from protocol.record.ledger import LedgerEntry

_COLOURS = {
    "queued": "yellow",
    "sent": "yellow",
    "received": "cyan",
    "receipted": "cyan",
    "acknowledged": "green",
    "refused": "red",
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
    from endpoints.config import settings
    from endpoints.journal.reader import JournalReader
    from endpoints.texts.i18n import translator
    from protocol.record.ledger import ledger_of

    found = settings.load(config)
    chosen = found.link(link)
    zone = chosen.content.zone_of(found.side)
    t = translator(lang)
    if follow:
        _follow(chosen.journal, t, zone, as_json=as_json)
        return
    ledger = ledger_of(JournalReader(str(chosen.journal)).whole_records())
    if as_json:
        print_json(
            {"link": ledger.link, "side": ledger.side, "messages": [_row(entry) for entry in ledger.entries.values()]}
        )
    else:
        for entry in ledger.entries.values():
            _show(entry, t, zone)


def _follow(folder: Path, t: Translator, zone: str, *, as_json: bool) -> None:
    """Show all messages, then each one again when it arrives or changes."""
    from endpoints.journal.follower import follow
    from protocol.record.ledger import Ledger

    ledger = Ledger()
    changed: dict[str, LedgerEntry] = {}
    for record in follow(folder):
        if record is not None:
            changed |= {str(entry.reference): entry for entry in ledger.take(record)}
            continue
        for entry in changed.values():
            if as_json:
                print_json(_row(entry))
            else:
                _show(entry, t, zone)
        changed.clear()


def _row(entry: LedgerEntry) -> dict[str, Any]:
    return {
        "reference": str(entry.reference),
        "sender": entry.reference.sender,
        "epoch": entry.reference.epoch,
        "seq": entry.reference.seq,
        "kind": entry.kind,
        "state": entry.state,
        "at": entry.at,
        "sent_at": entry.sent_at,
        "received_at": entry.received_at,
        "receipted_at": entry.receipted_at,
        "acknowledged_at": entry.acknowledged_at,
        "acknowledged_by": entry.acknowledged_by,
        "decision": entry.decision,
        "refused": entry.refused,
        "refused_by": entry.refused_by,
        "body": entry.body,
    }


def _show(entry: LedgerEntry, t: Translator, zone: str) -> None:
    from rich.text import Text

    from endpoints.texts.wording import wording
    from protocol.wire.instants import parsed

    when = t.instant(parsed(entry.at), zone)
    who = entry.refused_by or entry.acknowledged_by
    state = t.term("way", entry.state) + (f", {who}" if who else "")
    head = Text.assemble((when, "bright_black"), "  ", (str(entry.reference), "bold"))
    said = Text(wording(entry.body, t, zone))
    standing = Text(state, _COLOURS[entry.state])
    out = console()
    if out.is_terminal:
        out.print(Text("  ").join([head, standing]))
        print_indented(out, said, columns=4)
    else:
        out.print(Text("  ").join([head, said, standing]))
