"""`deconflict messages --open`: what waits for an officer of this side, the most urgent first."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from endpoints.cli.open_rows import age_of, expiry_left, time_left
from endpoints.cli.output import console, print_hanging, print_indented, print_json, say
from endpoints.control.client import ControlClient
from endpoints.control.open_items import open_items, urgency
from endpoints.texts.printable import one_line
from endpoints.texts.wording import wording
from protocol.core.snapshot import DraftView, Snapshot
from protocol.wire.instants import parsed

if TYPE_CHECKING:
    from endpoints.clocks.clock import Clock
    from endpoints.config.settings import LinkSettings, ProcessSettings
    from endpoints.texts.i18n import Translator
    from protocol.wire.instants import Millis

_ACTS = {"alert": "acknowledge", "heartbeat": "answer", "draft": "release"}
"""The command that handles each kind."""


def print_open(
    found: ProcessSettings, chosen: LinkSettings, t: Translator, clocks: Clock, *, limit: int | None, as_json: bool
) -> None:
    """Print what waits for an officer of this side, and on standard error how each kind is handled.

    Raises Unreachable if the endpoint does not run.
    """
    snapshot = ControlClient(found.control, chosen.id).get("snapshot")
    view = msgspec.convert(snapshot, Snapshot)
    now, _ = clocks.now()
    rows = list(_rows(view, now))
    shown = rows if limit is None else rows[:limit]
    if as_json:
        left_out = len(rows) - len(shown)
        print_json({"link": view.link, "status": view.status, "side": view.side, "open": shown, "left_out": left_out})
        return
    zone = chosen.content.zone_of(found.side)
    for row in shown:
        _print(row, t, zone, now)
    if not rows:
        say(t("nothing waits for an officer here"))
    if left := len(rows) - len(shown):
        say(t.plural("{count} more waits", "{count} more wait", left))
    config, link = str(found.path), found.choosing(chosen.id)
    for kind in dict.fromkeys(row["kind"] for row in shown):
        first = next(row["reference"] for row in shown if row["kind"] == kind)
        act = shlex.join(["deconflict", _ACTS[kind], config, first, *link, "--officer", "ID"])
        say(f"{t.term('handle', kind)}: {act}")
    if shown:
        say(
            t(
                "to read one in full: {command}",
                command=shlex.join(["deconflict", "show", config, shown[0]["reference"], *link]),
            )
        )


def _rows(view: Snapshot, now: Millis) -> Iterator[dict[str, Any]]:
    """Yield what waits for an officer here, the most urgent first, each with its body and its `seen`."""
    bodies: dict[str, Any] = {each.reference: each.alert for each in view.alerts}
    bodies |= {each.reference: each.heartbeat for each in view.tests}
    rows: list[dict[str, Any]] = [
        {**msgspec.to_builtins(item), "body": msgspec.to_builtins(bodies[item.reference])}
        for item in open_items(view, now)
        if item.waits_for == view.side
    ]
    rows += [_draft_row(draft) for draft in view.drafts if parsed(draft.expires_at) > now]
    rows.sort(key=lambda row: urgency(row["precedence"], row["due_at"], row["received_at"]))
    for row in rows:
        item = view.item(row["reference"])
        yield {**row, "seen": None if item is None else item.seen}


def _draft_row(draft: DraftView) -> dict[str, Any]:
    """Return a draft as a row: it waits until it expires."""
    body = {name: value for name, value in draft.item.items() if name != "cancellation"}
    return {
        "reference": draft.draft,
        "kind": "draft",
        "precedence": draft.precedence,
        "category": draft.category,
        "change": draft.change_kind,
        "received_at": draft.at,
        "due_at": draft.expires_at,
        "stale": None,
        "officer": draft.officer,
        "body": body,
    }


def _print(row: Mapping[str, Any], t: Translator, zone: str, now: Millis) -> None:
    """Print one row: its reference and the time left, then what it says."""
    from rich.text import Text

    out = console()
    draft = row["kind"] == "draft"
    head = Text.assemble((row["reference"], "bold"))
    if draft:
        head.append(f"  {t('draft, written by {officer}', officer=row['officer'])}")
    if row["due_at"]:
        left = (expiry_left if draft else time_left)(row["due_at"], t, zone, now)
        head.append(f"  {left}", "bold red" if parsed(row["due_at"]) < now else "yellow")
    said = _draft_words(row["body"], t) if draft else wording(row["body"], t, zone)
    told = Text.assemble((age_of(row, t, zone, now), "bold yellow"), said)
    if out.is_terminal:
        print_hanging(out, head, columns=0, then=4)
        print_indented(out, told, columns=4)
    else:
        out.print(Text("  ").join([head, told]))


def _draft_words(body: Mapping[str, Any], t: Translator) -> str:
    """Return what a draft says, in one line: it has no releasing officers yet, so that it is no alert."""
    text = body["text"].get(t.language) or next(iter(body["text"].values()))
    facts = [t.term("precedence", body["precedence"]), t.term("status", body["status"])]
    return one_line(f"{', '.join(facts)}: {t.term('category', body['category'])}: {text}")
