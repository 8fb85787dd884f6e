"""One message as a ladder: what the machines did with it, what officers said, and its texts in every language."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

import msgspec
from msgspec import UNSET, Struct, structs

from endpoints.console.facts import Facts
from endpoints.console.frame import Level
from endpoints.console.screens.message_acts import MessageActs, acts_of
from endpoints.console.screens.message_card import BARS, Written, age_words, level_of, state_words, texts_of
from endpoints.console.screens.moments import Moment, Moments
from endpoints.texts.i18n import Translator
from endpoints.texts.item_page import ItemPage, PageField, ShownAct, act_in_words, body_fields
from endpoints.texts.items import channels_instead, draft_page, entry_page, ledger_draft, target_in
from protocol.record.ledger import Ledger
from protocol.record.ledger_entries import LedgerDraft, LedgerEntry
from protocol.wire.messages import Reference, Texts, Utc

_ABOVE: Final = ("text", "language", "status", "precedence", "category", "change", "released_by")
"""What the page shows in its own places."""


class Rung(Struct, frozen=True, kw_only=True):
    """One step of the ladder.

    Attributes:
        by: a machine or an officer: they never look alike.
        word: the step in words.
        at: when; None for one that is not reached, or whose time is not recorded.
        done: whether it is reached; None if that is not known here.
        detail: whose act it was, and what it said, in words.
        reference: the parts of the reference of its own message, empty for none.
        texts: what was said with it.
        referral: the channel to use instead, empty for none.
    """

    by: Literal["machine", "officer"]
    word: str
    at: Moment | None = None
    done: bool | None = True
    detail: str = ""
    reference: tuple[str, ...] = ()
    texts: tuple[Written, ...] = ()
    referral: str = ""


class MessagePage(Struct, frozen=True, kw_only=True):
    """A message or a draft, whole.

    Attributes:
        reference: `eucom/1/42` or `draft/3`.
        kind, status, precedence, category, change: in words; empty where it has none.
        level, state: how far it has come.
        warning: what makes it old news.
        due: until when it has to be handled.
        rungs: the ladder.
        texts: in every language, the screen's first.
        target: of a change, the alert that it changes: its reference and its texts.
        changes: parts of the reference of the alert that it changes; `successor` of the one that changed it.
        cancellation: the texts prepared for a draft's cancellation.
        fields: the rest of its body.
        channels: the other channels, if it was refused as out of scope.
        seen: the digest of what this page shows.
        acts: what the reader can do about it.
    """

    reference: str
    kind: str
    status: str = ""
    is_test: bool = False
    precedence: str = ""
    bars: int = 0
    category: str = ""
    change: str = ""
    level: Level = "unknown"
    state: str = ""
    warning: str = ""
    due: Utc | None = None
    rungs: tuple[Rung, ...] = ()
    texts: tuple[Written, ...] = ()
    changes: tuple[str, ...] = ()
    target: tuple[Written, ...] = ()
    successor: tuple[str, ...] = ()
    cancellation: tuple[Written, ...] = ()
    fields: tuple[PageField, ...] = ()
    authors: str = ""
    channels: tuple[str, ...] = ()
    seen: str = ""
    acts: MessageActs = MessageActs()


def message_page_of(entry: LedgerEntry, facts: Facts, ledger: Ledger, t: Translator, moments: Moments) -> MessagePage:
    """Return the page of a message."""
    page = entry_page(ledger, entry, t, (), broker_has=entry.receipted_at is not None)
    waiting = () if facts.status is None else (*facts.status.open, *facts.status.awaited)
    found = page_of_body(page, facts, t)
    return structs.replace(
        found,
        level=level_of(entry),
        state=state_words(entry, t),
        warning=age_words(entry, t, facts.now),
        due=next((each.due_at for each in waiting if each.reference == page.reference), None),
        rungs=(*_machines(entry, t, moments), *_officers(page, entry, facts, t, moments)),
        successor=() if entry.changed_by is None else _parts(entry.changed_by),
        authors=_authors(entry, ledger, t, moments),
        channels=channels_instead(page, facts.link.terms.policy.channels, t),
        acts=acts_of(entry, facts, t),
    )


def draft_page_of(draft: LedgerDraft, facts: Facts, ledger: Ledger, t: Translator, moments: Moments) -> MessagePage:
    """Return the page of a draft."""
    row = ledger_draft(draft)
    page = draft_page(row, t, target_in(ledger, row["item"]), draft.end)
    found = page_of_body(page, facts, t)
    held = Rung(by="officer", word=t("written"), at=moments.of(draft.held_at), detail=draft.raised.officer)
    ended = tuple(_act(each, facts, t, moments) for each in page.acts)
    waits = () if ended else (Rung(by="officer", word=t.term("act", "released"), done=False),)
    level: Level = "serious" if draft.end is None else "normal" if draft.end.act == "released" else "unknown"
    return structs.replace(
        found,
        level=level,
        state=page.state,
        warning="; ".join(page.warnings),
        due=draft.raised.expires_at if draft.end is None else None,
        rungs=(held, *ended, *waits),
    )


def page_of_body(page: ItemPage, facts: Facts, t: Translator) -> MessagePage:
    """Return what a page says of the body: of a message, of a draft, or of what is being written."""
    body = {} if isinstance(page.body, str) else dict(page.body)
    change = body.get("change") or {}
    status = body.get("status", "")
    # what is not in a place of its own, or the JSON of an unknown kind
    rest = page.body if isinstance(page.body, str) else {k: v for k, v in body.items() if k not in _ABOVE}
    shown = structs.replace(page, body=rest, target={}, cancellation=None, author=None)
    texts = facts.texts
    return MessagePage(
        reference=page.reference,
        kind=t.term("kind", page.kind),
        status=t.term("status", status) if status else "",
        is_test=status == "test",
        precedence=t.term("precedence", body["precedence"]) if "precedence" in body else "",
        bars=BARS.get(body.get("precedence", ""), 0),
        category=t.term("category", body["category"]) if "category" in body else "",
        change=t.term("change", change["kind"]) if change else "",
        texts=texts_of(body, t) if texts else (),
        changes=_parts(msgspec.convert(change["of"], Reference)) if change else (),
        target=_texts(page.target, t) if texts else (),
        cancellation=_texts(page.cancellation or {}, t) if texts else (),
        fields=tuple(body_fields(shown, t, "UTC")) if texts else (),
        seen=page.seen or "",
    )


def _machines(entry: LedgerEntry, t: Translator, moments: Moments) -> Iterator[Rung]:
    """Yield the steps of the machines; that the broker took it is not journaled, since it proves nothing."""
    if not entry.own:
        yield Rung(by="machine", word=t("sent, by its sender's clock"), at=moments.of(entry.at))
        yield Rung(by="machine", word=t("received here"), at=moments.maybe(entry.received_at))
        receipt = moments.maybe(entry.receipted_at)
        yield Rung(by="machine", word=t("our receipt, signed"), at=receipt, done=receipt is not None)
        return
    yield Rung(by="machine", word=t("in the journal"), at=moments.maybe(entry.queued_at))
    yield Rung(by="machine", word=t("sealed and sent"), at=moments.maybe(entry.sent_at), done=entry.sent_at is not None)
    receipted = entry.receipted_at is not None
    yield Rung(by="machine", word=t("at the broker: a hint, not recorded"), done=True if receipted else None)
    peer = t("received: their receipt, signed")
    yield Rung(by="machine", word=peer, at=moments.maybe(entry.receipted_at), done=receipted)
    if entry.undelivered:
        yield Rung(
            by="machine", word=t.term("way", "undelivered"), detail=t("its epoch has ended: it is not sent again")
        )


def _officers(page: ItemPage, entry: LedgerEntry, facts: Facts, t: Translator, moments: Moments) -> Iterator[Rung]:
    """Yield the acts, and the one that is still to come."""
    for shown in page.acts:
        yield _act(shown, facts, t, moments)
    open_ = entry.changed_by is None and not entry.refused and entry.acknowledged is None and not entry.undelivered
    if open_ and entry.kind in {"alert", "heartbeat"}:
        kind = "heartbeat_answer" if entry.kind == "heartbeat" else "acknowledgement"
        yield Rung(by="officer", word=t.term("kind", kind), done=False)


def _act(shown: ShownAct, facts: Facts, t: Translator, moments: Moments) -> Rung:
    act = shown.act
    # a service refuses by itself
    return Rung(
        by="officer" if act.officer else "machine",
        word=t.term("act", act.act),
        at=moments.of(act.at),
        detail=act_in_words(structs.replace(act, reference=UNSET), t),
        reference=_parts(act.reference) if act.reference else (),
        texts=_texts(shown.text, t) if facts.texts else (),
        referral=shown.referral or "",
    )


def _authors(entry: LedgerEntry, ledger: Ledger, t: Translator, moments: Moments) -> str:
    """Return who wrote and who released an alert, as far as this side knows."""
    released_by = entry.body.get("released_by")
    names = ", ".join(map(str, released_by)) if isinstance(released_by, list | tuple) else ""
    for draft in ledger.drafts.values():
        if entry.own and draft.end is not None and draft.end.reference == entry.reference:
            return t(
                "draft/{draft}, written by {author} at {written}; released by {officer} at {released}",
                draft=draft.draft,
                author=draft.raised.officer,
                written=moments.of(draft.held_at).clock,
                officer=draft.end.officer or "",
                released=moments.of(draft.end.at).clock,
            )
    return t("released by {officers}", officers=names) if names else ""


def _texts(texts: Texts, t: Translator) -> tuple[Written, ...]:
    return texts_of({"text": dict(texts)}, t)


def _parts(reference: Reference) -> tuple[str, ...]:
    return (reference.sender, str(reference.epoch), str(reference.seq))
