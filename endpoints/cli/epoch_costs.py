"""What a new epoch of a link costs: what stays undelivered, what ends, what stays open (SPEC E2)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from endpoints.cli.output import print_lines
from endpoints.control.open_items import OpenItem, WaitingDraft, drafts, open_items
from protocol.core.alarms import AlarmCode
from protocol.core.alerts import AlertState

if TYPE_CHECKING:
    from endpoints.texts.i18n import Translator
    from protocol.core.snapshot import Snapshot
    from protocol.wire.instants import Millis

_END = (
    *(AlarmCode.EQUIVOCATION, AlarmCode.FORK, AlarmCode.JOURNAL_BEHIND, AlarmCode.POLICY_MISMATCH),
    *(AlarmCode.HEARTBEAT_UNRECEIPTED, AlarmCode.HEARTBEAT_UNANSWERED, AlarmCode.KEYS_CHANGED),
)
"""The alarms that a new epoch clears."""
_LISTED_MAX = 20


class Unreceipted(Struct, frozen=True, kw_only=True):
    """A message of this side that the other side has not receipted; it is not sent again."""

    reference: str
    # null for an answer, an acknowledgement or a refusal
    kind: str | None
    precedence: str | None


class EpochCosts(Struct, frozen=True, kw_only=True):
    """What the end of the present epoch means at this side."""

    undelivered: tuple[Unreceipted, ...]
    # line tests that nobody answers any more
    ended: tuple[OpenItem, ...]
    # alerts that stay open, and are answered in the new epoch
    open: tuple[OpenItem, ...]
    drafts: tuple[WaitingDraft, ...]
    # code/subject
    alarms: tuple[str, ...]
    # whether keys that wait for an officer count at once
    keys_wait: bool


def epoch_costs(view: Snapshot, now: Millis) -> EpochCosts:
    """Return what a new epoch costs this side, whose link is in the state `view` at `now`."""
    lost = tuple(_unreceipted(view))
    gone = {each.reference for each in lost}
    items = open_items(view, now)
    return EpochCosts(
        undelivered=lost,
        ended=tuple(each for each in items if each.kind == "heartbeat" and each.reference not in gone),
        open=tuple(each for each in items if each.kind == "alert" and each.reference not in gone),
        drafts=drafts(view, now),
        alarms=tuple(
            f"{each.code}/{each.subject}"
            for each in view.alarms
            if each.active
            and (each.code in _END or (each.code is AlarmCode.ALERT_UNACKNOWLEDGED and each.subject in gone))
        ),
        keys_wait=view.keys_changed is not None,
    )


def _unreceipted(view: Snapshot) -> Iterator[Unreceipted]:
    if view.ours is None:
        return
    alerts = {each.reference: each for each in view.alerts if each.state is not AlertState.UNDELIVERED}
    tests = {each.reference for each in view.tests}
    for seq in range(view.ours.receipted + 1, view.ours.last + 1):
        reference = f"{view.side}/{view.epoch}/{seq}"
        alert = alerts.get(reference)
        kind = "alert" if alert else "heartbeat" if reference in tests else None
        yield Unreceipted(reference=reference, kind=kind, precedence=alert.alert.precedence if alert else None)


def show_costs(costs: EpochCosts, t: Translator, zone: str, now: Millis, *, restored: bool = False) -> None:
    """Print on standard error what a new epoch costs; times are on the wall clock of `zone`.

    A journal that was `restored` from a copy does not know all that this side has said.
    """
    from msgspec import to_builtins

    from endpoints.cli.open_rows import draft_words, open_words

    rows = [_unreceipted_words(each, t) for each in costs.undelivered]
    _section(t("not receipted; stays undelivered, and no machine sends it again:"), rows, t)
    rows = [_item_words(open_words(to_builtins(each), t, zone, now), each, t) for each in costs.ended]
    _section(t("line tests that end without an answer:"), rows, t)
    rows = [_item_words(open_words(to_builtins(each), t, zone, now), each, t) for each in costs.open]
    _section(t("alerts that stay open, and are answered in the new epoch:"), rows, t)
    rows = [draft_words(to_builtins(each), t, zone, now) for each in costs.drafts]
    _section(t("drafts that still wait for their release:"), rows, t)
    _section(t("alarms that end:"), list(costs.alarms), t)
    if costs.keys_wait:
        print_lines([t("keys that no officer has accepted yet count at once in the new epoch")], stderr=True)
    if restored:
        what = t("this journal was restored from a copy; what this side said afterwards is not listed here")
        print_lines([what], stderr=True)
    elif not costs.undelivered:
        print_lines([t("nothing of this side stays undelivered")], stderr=True)


def show_removal(costs: EpochCosts, view: Snapshot, t: Translator, zone: str, now: Millis) -> None:
    """Print on standard error what the removal of a link leaves behind; times are on the wall clock of `zone`."""
    from msgspec import to_builtins

    from endpoints.cli.open_rows import draft_words, open_words

    rows = [_unreceipted_words(each, t) for each in costs.undelivered]
    _section(t("not receipted; not sent any more:"), rows, t)
    items = [*costs.ended, *costs.open]
    rows = [_item_words(open_words(to_builtins(each), t, zone, now), each, t) for each in items]
    _section(t("open; nobody can answer it over this link any more:"), rows, t)
    rows = [draft_words(to_builtins(each), t, zone, now) for each in costs.drafts]
    _section(t("drafts that nobody can release any more:"), rows, t)
    alarms = [f"{each.code}/{each.subject}" for each in view.alarms if each.active]
    _section(t("alarms that nobody sees here any more:"), alarms, t)
    if not (costs.undelivered or items or costs.drafts or alarms):
        print_lines([t("nothing is open on it")], stderr=True)


def _section(title: str, rows: Sequence[str], t: Translator) -> None:
    if not rows:
        return
    shown = [f"  {row}" for row in rows[:_LISTED_MAX]]
    if left := len(rows) - len(shown):
        shown.append(f"  {t.plural('and {count} more', 'and {count} more', left)}")
    print_lines([title, *shown], stderr=True)


def _unreceipted_words(each: Unreceipted, t: Translator) -> str:
    kind = [t.term("kind", each.kind)] if each.kind else []
    precedence = [t.term("precedence", each.precedence)] if each.precedence else []
    return ", ".join([each.reference, *kind, *precedence])


def _item_words(words: str, item: OpenItem, t: Translator) -> str:
    return f"{words}; {t('waits for {party}', party=item.waits_for)}"
