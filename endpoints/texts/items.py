"""Messages and drafts as rows of `--json` and as pages for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from endpoints.texts.channels import channel_name
from endpoints.texts.item_page import ItemPage, ShownAct
from endpoints.texts.wording import age_warning
from protocol.core.acts import Act
from protocol.core.alerts import AlertState
from protocol.core.staleness import Staleness, expiry, staleness
from protocol.errors import RemoteProtocolError
from protocol.wire.instants import Millis, parsed
from protocol.wire.messages import Reference, Texts
from protocol.wire.payloads import read_body
from protocol.wire.policy import Channel
from protocol.wire.refusals import MessageRefusal

if TYPE_CHECKING:
    from endpoints.texts.i18n import Translator
    from protocol.core.snapshot import Snapshot
    from protocol.record.ledger import Ledger
    from protocol.record.ledger_entries import LedgerDraft, LedgerEntry

_ACKNOWLEDGED = (AlertState.UNDERSTOOD, AlertState.ACTING)
_STEPS = ("queued_at", "sent_at", "received_at", "receipted_at")


def acts_of(ledger: Ledger, acts: Iterable[Act]) -> tuple[ShownAct, ...]:
    """Return the acts with what their messages say."""
    shown = []
    for act in acts:
        entry = ledger.entries.get(act.reference) if act.reference else None
        # the alert that replaces another one has a page of its own
        said: Mapping[str, Any] = {} if entry is None or entry.kind == "alert" else entry.body
        text = said.get("text", {})
        language = said.get("language")
        texts = {language: text} if language else text
        shown.append(ShownAct(act=act, text=texts, referral=said.get("referral")))
    return tuple(shown)


def act_row(shown: ShownAct) -> dict[str, Any]:
    """Return an act for `--json`: its officer, its time, and what it says."""
    row: dict[str, Any] = msgspec.to_builtins(shown.act)
    if shown.act.reference:
        row["reference"] = str(shown.act.reference)
    return {
        **row,
        **({"referral": shown.referral} if shown.referral else {}),
        **({"text": shown.text} if shown.text else {}),
    }


def stale(entry: LedgerEntry, now: Millis) -> Staleness:
    """Return why a message is no news; nothing for one that was taken back or changed, as its state says that."""
    arrived = None if entry.received_at is None else parsed(entry.received_at)
    expires_at = expiry(entry.body) if entry.changed_by is None else None
    return staleness(expires_at, entry.at, arrived, now)


def message_row(ledger: Ledger, entry: LedgerEntry, now: Millis) -> dict[str, Any]:
    """Return a message for `--json`, as it stands at `now`."""
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
        "change": entry.change,
        "changed_by": None if entry.changed_by is None else str(entry.changed_by),
        "stale": stale(entry, now) or None,
        "acts": [act_row(act) for act in acts_of(ledger, entry.acts)],
        "body": entry.body,
    }


def entry_page(
    ledger: Ledger, entry: LedgerEntry, t: Translator, warnings: tuple[str, ...], *, broker_has: bool
) -> ItemPage:
    """Return the page of a message; `broker_has`: the running endpoint says that the broker has accepted it."""
    known = _known(entry.body)
    state = t.term("way", entry.state)
    if entry.state == "refused" and entry.refused:
        state += f" ({t.term('reason', entry.refused)})"
    times = ((step.removesuffix("_at"), getattr(entry, step)) for step in _STEPS)
    return ItemPage(
        reference=str(entry.reference),
        kind=entry.kind if known else "unknown",
        state=state,
        body=entry.body if known else msgspec.json.encode(entry.body).decode(),
        target=target_in(ledger, entry.body) if known else {},
        warnings=warnings,
        # this side receipts what it receives
        steps=tuple(
            (t("receipt sent") if step == "receipted" and not entry.own else t.term("way", step), at)
            for step, at in times
            if at is not None
        ),
        undated=tuple(_undated(entry, t, broker_has=broker_has)),
        acts=acts_of(ledger, entry.acts),
        successor=str(entry.changed_by) if entry.changed_by else None,
        seen=entry.item.seen,
    )


def alert_page(view: Snapshot, reference: str, t: Translator, now: Millis) -> ItemPage | None:
    """Return the page of an alert as a running endpoint knows it, None if it does not know it."""
    alerts = {each.reference: each for each in view.alerts}
    found, item = alerts.get(reference), view.item(reference)
    if found is None or item is None:
        return None
    of = changed_alert(item.item)
    changed = None if of is None else alerts.get(str(of))
    # nobody tells a side that its own message is old
    arrived = None if reference.startswith(f"{view.side}/") else parsed(found.received_at or found.at)
    old = Staleness() if found.changed_by else staleness(expiry(found.alert), found.sent_at, arrived, now)
    return ItemPage(
        reference=reference,
        kind="alert",
        state=t.term("way", "acknowledged" if found.state in _ACKNOWLEDGED else found.state),
        body=msgspec.to_builtins(found.alert),
        target={} if changed is None else changed.alert.text,
        warnings=(age_warning(old, t, now, arrived=arrived).removesuffix(": "),) if old else (),
        acts=tuple(ShownAct(act=act) for act in item.acts),
        successor=found.changed_by,
        seen=item.seen,
    )


def _undated(entry: LedgerEntry, t: Translator, *, broker_has: bool) -> Iterator[tuple[str, str]]:
    """Yield the steps without a time: that the broker has the message, which is not journaled, and those to come."""
    if entry.own and entry.receipted_at is None and not entry.undelivered:
        if broker_has:
            yield t.term("step", "broker"), t("yes, at a time that is not recorded")
        yield t.term("way", "receipted"), t("not yet")
    if entry.changed_by is None and not entry.refused and entry.acknowledged is None:
        if entry.kind == "alert":
            yield t.term("way", "acknowledged"), t("not yet")
        elif entry.kind == "heartbeat":
            yield t.term("act", "answered"), t("not yet")


def target_in(ledger: Ledger, body: Mapping[str, Any]) -> Texts:
    """Return the text of the alert that a body changes, as far as the journal has it."""
    of = changed_alert(body)
    entry = ledger.entries.get(of) if of is not None else None
    return {} if entry is None else entry.body.get("text", {})


def channels_instead(page: ItemPage, channels: Iterable[Channel], t: Translator) -> tuple[str, ...]:
    """Return the other channels for something that was refused as out of scope, and for such a refusal; else none."""
    reasons: set[object] = {shown.act.reason for shown in page.acts}
    if isinstance(page.body, Mapping):
        reasons.add(page.body.get("reason"))
    if MessageRefusal.OUT_OF_SCOPE not in reasons:
        return ()
    return tuple(channel_name(channel, t) for channel in channels)


def _known(body: dict[str, Any]) -> bool:
    """Return whether a body is of a known kind, with the fields of its kind."""
    try:
        read_body(body)
    except RemoteProtocolError:
        return False
    return True


def changed_alert(body: Mapping[str, Any]) -> Reference | None:
    """Return the alert that a body updates, corrects or cancels, if any."""
    change = body.get("change")
    return None if change is None else msgspec.convert(change["of"], Reference)


def draft_page(draft: Mapping[str, Any], t: Translator, target: Texts, end: Act | None = None) -> ItemPage:
    """Return the page of a draft.

    Args:
        draft: its view in a snapshot, or what `ledger_draft` returns.
        t: translates.
        target: the text of the alert that it changes; empty if it changes none.
        end: how it ended; None while it waits.
    """
    body = {name: value for name, value in draft["item"].items() if name != "cancellation"}
    warnings: tuple[str, ...] = ()
    if end is None or not end.reference:
        warnings = (t("nothing was sent yet") if end is None else t("nothing was sent"),)
    return ItemPage(
        reference=draft["draft"],
        kind="alert",
        state=t.term("step", "held") if end is None else t.term("act", end.act),
        body=body,
        target=target,
        cancellation=draft["item"].get("cancellation"),
        author=draft["officer"],
        warnings=warnings,
        steps=((t("written"), draft["at"]),),
        acts=() if end is None else (ShownAct(act=end),),
        seen=draft["seen"],
    )


def ledger_draft(draft: LedgerDraft) -> dict[str, Any]:
    """Return a draft of the record in the form of a snapshot's view, as far as a page needs it."""
    item = draft.item
    return {
        "draft": item.reference,
        "officer": draft.raised.officer,
        "at": draft.held_at,
        "expires_at": draft.raised.expires_at,
        "item": item.item,
        "seen": item.seen,
    }
