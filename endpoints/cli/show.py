"""`deconflict show` and `deconflict drafts`: everything about one message or draft, and the drafts that wait."""

from __future__ import annotations

from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

from msgspec import structs

from endpoints.cli import options
from endpoints.cli.officer_session import Ref, parse_draft
from endpoints.cli.output import print_json, print_lines, terminal_width
from endpoints.errors import UserError
from protocol.phrases import phrase

if TYPE_CHECKING:
    from endpoints.control.client import ControlClient
    from endpoints.texts.i18n import Translator
    from endpoints.texts.item_page import ItemPage
    from protocol.record.ledger import Ledger
    from protocol.record.ledger_entries import LedgerEntry
    from protocol.wire.instants import Millis
    from protocol.wire.messages import Reference


def show(
    config: options.Config,
    ref: Ref,
    /,
    *,
    link: options.LinkId = None,
    lang: options.Lang = None,
    as_json: options.AsJson = False,
) -> None:
    """Show one message or draft in full, from the journal, whether or not the endpoint is running."""
    from endpoints.clocks.clock import clock
    from endpoints.config import settings
    from endpoints.control.client import ControlClient
    from endpoints.journal.reader import JournalReader
    from endpoints.texts.i18n import translator
    from endpoints.texts.item_page import item_lines
    from endpoints.texts.items import act_row, channels_instead
    from protocol.record.ledger import ledger_of

    number = parse_draft(ref)
    found = settings.load(config)
    chosen = found.link(link)
    t = translator(lang)
    ledger = ledger_of(JournalReader(str(chosen.journal)).whole_records())
    now, _ = clock(found.exercise_clock).now()
    client = ControlClient(found.control, chosen.id)
    page, row = _draft(ledger, number, t) if number is not None else _message(ledger, ref, now, t, client)
    channels = channels_instead(page, chosen.content.terms.policy.channels, t)
    page = structs.replace(page, seen=_seen_now(client, ref) or page.seen, channels=channels)
    if as_json:
        print_json(row | {"acts": [act_row(act) for act in page.acts], "seen": page.seen})
    else:
        print_lines(item_lines(page, t, chosen.content.zones_from(found.side), terminal_width()))


def drafts(
    config: options.EndpointConfig,
    /,
    *,
    link: options.LinkId = None,
    lang: options.Lang = None,
    as_json: options.AsJson = False,
) -> None:
    """List the alerts that wait for a second officer, each as it would be sent, with its age and who may release it."""
    from endpoints.cli.officer_session import OfficerSession
    from endpoints.clocks.clock import clock
    from endpoints.config import settings
    from endpoints.texts.i18n import translator
    from endpoints.texts.item_page import item_lines
    from protocol.wire.instants import parsed

    session = OfficerSession.at(config, link)
    t = translator(lang)
    now, _ = clock(settings.load(config).exercise_clock).now()
    waiting = [each for each in session.client.get("snapshot")["drafts"] if parsed(each["expires_at"]) > now]
    if as_json:
        rows = [{**each, "may_release": session.others(each["officer"])} for each in waiting]
        print_json({"link": session.link, "side": session.side, "drafts": rows})
        return
    if not waiting:
        print_lines([t("no draft waits")])
    for draft in waiting:
        page = session.page(draft, t)
        age = t("{age} old", age=t.duration((now - parsed(draft["at"])) / 1_000))
        left = t("expires in {time}", time=t.duration((parsed(draft["expires_at"]) - now) / 1_000))
        page = structs.replace(page, state=f"{page.state}; {age}; {left}")
        print_lines([*item_lines(page, t, session.zones, terminal_width()), ""])


def _draft(ledger: Ledger, number: int, t: Translator) -> tuple[ItemPage, dict[str, Any]]:
    """Return the page and the row of a draft. Raises UserError if the journal has none of this number."""
    from endpoints.texts.items import draft_page, ledger_draft, target_in

    draft = ledger.drafts.get(number)
    if draft is None:
        raise UserError(
            phrase("draft/{number}: no such draft in this journal; those that wait: deconflict drafts", number=number)
        )
    row = ledger_draft(draft)
    state = "held" if draft.end is None else draft.end.act
    page = draft_page(row, t, target_in(ledger, row["item"]), draft.end)
    return page, {"reference": row["draft"], "kind": "draft", "state": state, **row}


def _message(
    ledger: Ledger, ref: str, now: Millis, t: Translator, client: ControlClient
) -> tuple[ItemPage, dict[str, Any]]:
    """Return the page and the row of a message. Raises UserError if the journal has none of this reference."""
    from endpoints.texts.items import entry_page, message_row
    from protocol.wire.messages import Reference

    try:
        reference = Reference.parse(ref)
    except ValueError:
        raise UserError(
            phrase("expected a message such as eucom/1/42 or a draft such as draft/3, found {ref}", ref=repr(ref[:60]))
        ) from None
    entry = ledger.entries.get(reference)
    if entry is None:
        raise UserError(
            phrase("{reference}: no such message in this journal; see: deconflict messages", reference=reference)
        )
    broker_has = entry.own and (entry.receipted_at is not None or _broker_has(client, reference))
    page = entry_page(ledger, entry, t, _warnings(entry, now, t), broker_has=broker_has)
    return page, message_row(ledger, entry, now) | {"broker_has": broker_has}


def _warnings(entry: LedgerEntry, now: Millis, t: Translator) -> tuple[str, ...]:
    """Return what an officer must know before they read an alert."""
    from endpoints.texts.items import stale
    from endpoints.texts.wording import age_warning
    from protocol.wire.instants import parsed

    arrived = None if entry.received_at is None else parsed(entry.received_at)
    old = stale(entry, now)
    return (age_warning(old, t, now, arrived=arrived).removesuffix(": "),) if old else ()


def _broker_has(client: ControlClient, reference: Reference) -> bool:
    """Return whether the running endpoint says that the broker has accepted a message; it is not journaled."""
    with suppress(UserError), closing(client.follow(f"progress/{reference}", 0)) as ladders:
        return any("broker" in ladder["steps"] for ladder in ladders)
    return False


def _seen_now(client: ControlClient, ref: str) -> str | None:
    """Return `seen` as the running endpoint has it: after an upgrade it knows fewer of the earlier acts."""
    with suppress(UserError):
        seen: str = client.get(f"items/{ref}")["seen"]
        return seen
    return None
