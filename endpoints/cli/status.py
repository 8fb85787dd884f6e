"""`deconflict status`: shows the status of links, and returns the worst as the exit code."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from queue import Queue
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from msgspec import Struct, to_builtins

from endpoints.cli import options
from endpoints.cli.link_status import link_words
from endpoints.cli.output import console, print_hanging, print_json, print_lines
from endpoints.errors import UserError
from protocol.phrases import phrase, said

if TYPE_CHECKING:
    from endpoints.clocks.clock import Clock
    from endpoints.config.settings import LinkSettings, ProcessSettings
    from endpoints.control.client import ControlClient
    from endpoints.texts.i18n import Translator

EXIT_OF = {"fine": 0, "late": 10, "unproven": 10, "alarm": 11, "unknown": 12}
ANSWER_WITHIN_S = 5.0
"""How long a process may take to answer before its links are unknown: less than the limit of a health check."""
_COLOURS = {"fine": "green", "late": "yellow", "unproven": "yellow", "alarm": "bold red", "unknown": "magenta"}
LISTED_MAX = 10
"""Rows of each list in the text; the others are counted."""
_AT_ONCE_MAX = 16
_FIELDS = (
    *("broker", "peer", "presence_age_s", "last_signed_at", "last_test", "next_slot", "outbox", "alarms", "open"),
    *("awaited", "drafts", "on_watch", "confirmed"),
)

Follow = Annotated[bool, Parameter(negative="", help="Keep running, and show every change.")]
More = Annotated[Path, Parameter(help="More configurations, of endpoints or watches.", negative="")]


class _Target(Struct, frozen=True):
    """One link of one process."""

    found: ProcessSettings
    chosen: LinkSettings

    @property
    def client(self) -> ControlClient:
        from endpoints.control.client import ControlClient

        return ControlClient(self.found.control, self.chosen.id, ANSWER_WITHIN_S)


def status(
    config: options.Config,
    /,
    *more: More,
    follow: Follow = False,
    link: options.LinkId = None,
    lang: options.Lang = None,
    as_json: options.AsJson = False,
) -> int:
    """Show the status of every link of the configurations, and why it is not fine.

    The worst decides about the exit code, 0 fine, 10 late or unproven, 11 alarm, 12 unknown; the last line names it.
    """
    from endpoints.clocks.clock import clock
    from endpoints.texts.i18n import translator

    targets = _targets((config, *more), link)
    t = translator(lang)
    clocks = {target.found.path: clock(target.found.exercise_clock) for target in targets}
    shown = False
    if follow:
        views, decides = _followed(targets), None
    else:
        asked = [*_asked(targets)]
        # of those in the worst state, the first decides; an actual link comes before an exercise
        _, decides = max(asked, key=lambda each: (EXIT_OF[each[1]["state"]], each[1]["status"] == "actual"))
        views = iter(asked)
    for target, view in views:
        if as_json:
            if decides is not None:
                view["decides"] = view is decides
            print_json(view)
        else:
            if shown:
                console().print()
            _show(view, t, target, clocks[target.found.path])
        shown = True
    if decides is None:
        # a followed link is shown until its process ends
        return EXIT_OF["unknown"]
    if not as_json and len(targets) > 1:
        console().print()
        print_lines([_decision(decides, t)])
    return EXIT_OF[decides["state"]]


def _decision(view: Mapping[str, Any], t: Translator) -> str:
    """Return which link decided the exit code, what it is for, and its state."""
    return t(
        "exit code {code}: {link}, {side}: {state}",
        code=EXIT_OF[view["state"]],
        link=link_words(view["link"], view["status"], t),
        side=view["side"],
        state=t.term("state", view["state"]),
    )


def _targets(configs: Sequence[Path], link: str | None) -> list[_Target]:
    """Return every link of the configurations, or of each only the one that is wanted. Raises UserError."""
    from endpoints.config import settings

    processes = [settings.load(config) for config in dict.fromkeys(configs)]
    targets = [
        _Target(found, chosen) for found in processes for chosen in found.links if link is None or chosen.id == link
    ]
    if not targets:
        # says which links there are
        processes[0].link(link)
    return targets


def _asked(targets: Sequence[_Target]) -> Iterator[tuple[_Target, dict[str, Any]]]:
    """Yield the status of each link, in order; all are asked at once, so that one that hangs delays no other."""
    with ThreadPoolExecutor(_AT_ONCE_MAX) as pool:
        yield from zip(targets, pool.map(_ask, targets), strict=True)


def _ask(target: _Target) -> dict[str, Any]:
    try:
        return _named(target, target.client.get("status"))
    except UserError as error:
        return _unknown(target, error)


def _named(target: _Target, view: dict[str, Any]) -> dict[str, Any]:
    """Return a status with what the link is for: from the link file if the process could not open its journal."""
    return view | {"status": view.get("status") or target.chosen.content.terms.policy.status}


def _followed(targets: Sequence[_Target]) -> Iterator[tuple[_Target, dict[str, Any]]]:
    """Yield the status of each link now and at each change, until every process has ended."""
    views: Queue[tuple[_Target, dict[str, Any]]] = Queue(maxsize=_AT_ONCE_MAX)

    def follow(target: _Target) -> None:
        end = UserError(phrase("the process has stopped"))
        try:
            with closing(target.client.follow("status")) as changes:
                for view in changes:
                    views.put((target, _named(target, view)))
        except UserError as error:
            end = error
        views.put((target, _unknown(target, end)))

    for target in targets:
        threading.Thread(target=follow, args=[target], daemon=True).start()
    left = len(targets)
    while left:
        target, view = views.get()
        yield target, view
        left -= view["state"] == "unknown"


def _unknown(target: _Target, error: UserError) -> dict[str, Any]:
    """Return the status of a link whose process does not tell it."""
    text = error.args[0]
    why = {"code": "no_answer", "state": "unknown", "subject": "", "text": str(text)}
    if (made := said(text)) is not None:
        why["said"] = to_builtins(made)
    status = target.chosen.content.terms.policy.status
    known = {
        "link": target.chosen.id,
        "status": status,
        "side": target.found.side,
        "state": "unknown",
        "reasons": [why],
    }
    return known | dict.fromkeys(_FIELDS)


def _show(view: dict[str, Any], t: Translator, target: _Target, clocks: Clock) -> None:
    """Print the status of one link for people."""
    from rich.text import Text

    from endpoints.cli.alarms import print_alarms
    from endpoints.cli.schedule import who_places
    from endpoints.texts.printable import one_line

    zone = target.chosen.content.zone_of(target.found.side)
    out, (now, _) = console(), clocks.now()
    state = Text(t.term("state", view["state"]), _COLOURS[view["state"]])
    out.print(Text(f"{link_words(view['link'], view['status'], t)}, {view['side']}: ") + state)
    facts = [] if view["state"] == "unknown" else [*_facts(view, t, zone, now)]
    if facts and (who := who_places(target.chosen.content, target.found.side, t)):
        facts.append(f"{t('line tests')}: {who}")
    for line in [*_reasons(view, t), *facts]:
        print_hanging(out, Text(one_line(line)), columns=2, then=4)
    channels = target.chosen.content.terms.policy.channels
    print_alarms(out, view["alarms"] or [], t, zone, now, view.get("keys_changed"), channels)


def _reasons(view: dict[str, Any], t: Translator) -> Iterator[str]:
    """Yield why a link is not fine. Alarms are counted: each is listed below with its details."""
    from msgspec import convert

    from protocol.phrases import Said

    alarms = sum(each["code"] in {"alarm", "warning"} for each in view["reasons"])
    if alarms:
        yield f"{t('reason')}: {t.plural('{count} alarm, listed below', '{count} alarms, listed below', alarms)}"
    for each in view["reasons"]:
        if each["code"] not in {"alarm", "warning"}:
            made = convert(each["said"], Said) if "said" in each else None
            yield f"{t('reason')}: {t.say(each['text'], made)}"


def _facts(view: dict[str, Any], t: Translator, zone: str, now: int) -> Iterator[str]:
    """Yield what is known of a link, in one line each."""
    from endpoints.cli.open_rows import age_of, draft_words, open_words
    from endpoints.texts.wording import local
    from protocol.wire.instants import parsed

    yield f"{t('broker')}: {t.term('connection', view['broker'])}"
    heard = view["presence_age_s"]
    hint = t("a hint") if heard is None else t("a hint; last heard {ago}", ago=t.ago(heard))
    yield f"{t('peer')}: {t.term('presence', view['peer'])} ({hint})"
    signed = view["last_signed_at"]
    when = f"{local(signed, t, zone)} ({t.ago((now - parsed(signed)) / 1_000)})" if signed else t("none yet")
    yield f"{t('last signed word of the other side')}: {when}"
    if (test := view["last_test"]) is not None:
        words = [test["reference"], local(test["at"], t, zone), t.term("test", test["state"])]
        yield f"{t('last line test')}: {age_of(test, t, zone, now)}{', '.join(words)}"
    if view["next_slot"]:
        yield f"{t('next line test')}: {local(view['next_slot'], t, zone)}"
    if (outbox := view["outbox"]) is not None:
        yield t("outbox: {waiting} waiting, {in_flight} on their way", **outbox)
        # an endpoint has officers, the independent watch has none
        on_watch = view["on_watch"]
        if on_watch is None:
            yield t("nobody on watch")
        else:
            since = local(on_watch["since"], t, zone)
            yield t("on watch: {officer} since {when}", officer=on_watch["officer"], when=since)
        yield comparison_words(view["confirmed"], t, zone)
    yield from _listed(t("open"), [open_words(each, t, zone, now) for each in view["open"]], t)
    yield from _listed(t("draft"), [draft_words(each, t, zone, now) for each in view["drafts"]], t)
    for party in dict.fromkeys(each["waits_for"] for each in view["awaited"]):
        waiting = [open_words(each, t, zone, now) for each in view["awaited"] if each["waits_for"] == party]
        yield from _listed(t("waits for {party}", party=party), waiting, t)


def comparison_words(confirmed: dict[str, Any] | None, t: Translator, zone: str) -> str:
    """Return who compared the link file with the other side's, and when; or that nobody did in this epoch."""
    from endpoints.texts.wording import local

    if confirmed is None:
        return t("link file: not compared with the other side's")
    when = local(confirmed["at"], t, zone)
    return t("link file: compared by {officer}, {when}", officer=confirmed["officer"], when=when)


def _listed(label: str, rows: Sequence[str], t: Translator) -> Iterator[str]:
    """Yield the first rows under a label, and how many more there are."""
    for row in rows[:LISTED_MAX]:
        yield f"{label}: {row}"
    if left := len(rows) - LISTED_MAX if len(rows) > LISTED_MAX else 0:
        yield f"{label}: {t.plural('and {count} more', 'and {count} more', left)}"
