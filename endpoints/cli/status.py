"""`deconflict status`: shows the status of a link, and returns it as the exit code."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from endpoints.cli import options
from endpoints.cli.output import console, print_indented, print_json

if TYPE_CHECKING:
    from endpoints.clocks.clock import Clock
    from endpoints.texts.i18n import Translator
    from protocol.wire.instants import Millis

EXIT_OF = {"fine": 0, "late": 10, "alarm": 11, "unknown": 12}

Follow = Annotated[bool, Parameter(negative="", help="Keep running, and show every change.")]


def status(
    config: options.Config,
    /,
    *,
    follow: Follow = False,
    link: options.LinkId = None,
    lang: options.Lang = None,
    as_json: options.AsJson = False,
) -> int:
    """Show the status of a link; return 0 if fine, 10 if late, 11 for an alarm, 12 if the process does not answer."""
    from endpoints.clocks.clock import clock
    from endpoints.config import settings
    from endpoints.control.client import ControlClient, Unreachable
    from endpoints.texts.i18n import translator

    found = settings.load(config)
    chosen = found.link(link)
    zone = chosen.content.zone_of(found.side)
    t = translator(lang)
    clocks = clock(found.exercise_clock)
    client = ControlClient(found.control, chosen.id)
    try:
        if not follow:
            view = client.get("status")
            _show(view, t, zone, clocks, as_json=as_json)
            return EXIT_OF[view["state"]]
        with closing(client.follow("status")) as views:
            for view in views:
                _show(view, t, zone, clocks, as_json=as_json)
    except Unreachable:
        _show_unknown(t, chosen.id, found.side, as_json=as_json)
        raise
    _show_unknown(t, chosen.id, found.side, as_json=as_json)
    return EXIT_OF["unknown"]


def _show_unknown(t: Translator, link: str, side: str, *, as_json: bool) -> None:
    if as_json:
        known = {"link": link, "side": side, "state": "unknown"}
        unknown = ("broker", "peer", "last_test", "next_slot", "outbox", "alarms", "open", "on_watch")
        print_json(known | dict.fromkeys(unknown))
    else:
        _title(t, link, side, "unknown")


def _show(view: dict[str, Any], t: Translator, zone: str, clocks: Clock, *, as_json: bool) -> None:
    if as_json:
        print_json(view)
        return
    from rich.text import Text

    from endpoints.cli.alarms import print_alarms
    from protocol.wire.instants import parsed

    _title(t, view["link"], view["side"], view["state"])
    out = console()
    now, _ = clocks.now()
    lines = [
        f"{t('broker')}: {t.term('connection', view['broker'])}",
        f"{t('peer')}: {t.term('presence', view['peer'])}",
    ]
    test = view["last_test"]
    if test is not None:
        when = t.instant(parsed(test["at"]), zone)
        state = t.term("test", test["state"])
        warning = _warning(test, t, zone, now)
        lines.append(f"{t('last line test')}: {warning}{test['reference']}, {when}, {state}")
    if view["next_slot"]:
        lines.append(f"{t('next line test')}: {t.instant(parsed(view['next_slot']), zone)} ({zone})")
    outbox = view["outbox"]
    if outbox is not None:
        lines.append(
            t(
                "outbox: {waiting} waiting, {in_flight} on their way",
                waiting=outbox["waiting"],
                in_flight=outbox["in_flight"],
            )
        )
        # an endpoint has officers, the independent watch has none
        on_watch = view["on_watch"]
        if on_watch is None:
            lines.append(t("nobody on watch"))
        else:
            since = t.instant(parsed(on_watch["since"]), zone)
            lines.append(t("on watch: {officer} since {when}", officer=on_watch["officer"], when=since))
    lines += [f"{t('open')}: {_open(each, t, zone, now)}" for each in view["open"]]
    for line in lines:
        print_indented(out, Text(line), columns=2)
    print_alarms(out, view["alarms"], t, zone, now, view.get("keys_changed"))


def _open(item: dict[str, Any], t: Translator, zone: str, now: Millis) -> str:
    """Return what waits for an officer, in one line; first of all, what makes it old news."""
    from protocol.wire.instants import parsed

    words = [
        item["reference"],
        t.term("kind", item["kind"]),
        *([t.term("precedence", item["precedence"])] if item["precedence"] else []),
        *([t.term("change", item["change"])] if item["change"] else []),
        *([t.term("category", item["category"])] if item["category"] else []),
    ]
    if item["due_at"]:
        words.append(t("due {when}", when=t.instant(parsed(item["due_at"]), zone)))
    return f"{_warning(item, t, zone, now)}{', '.join(words)}"


def _warning(item: dict[str, Any], t: Translator, zone: str, now: Millis) -> str:
    from msgspec import convert

    from endpoints.texts.wording import age_warning
    from protocol.core.staleness import Staleness
    from protocol.wire.instants import parsed

    # a line test does not expire
    arrived = parsed(item["received_at"]) if "received_at" in item else None
    return age_warning(convert(item["stale"] or {}, Staleness), t, now, zone, arrived=arrived)


def _title(t: Translator, link: str, side: str, state: str) -> None:
    from rich.text import Text

    colour = {"fine": "green", "late": "yellow", "alarm": "bold red"}.get(state, "magenta")
    console().print(Text.assemble(f"{link}, {side}: ", (t.term("state", state), colour)))
