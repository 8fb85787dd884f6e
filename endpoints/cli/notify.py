"""`deconflict notify test`: sends a message that says TEST to every receiver of notifications."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from endpoints.cli import options
from endpoints.cli.output import print_json, print_lines, say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from endpoints.sinks import Sink


class TestDelivery(Struct, frozen=True, kw_only=True):
    """What became of the message at one receiver."""

    sink: str
    delivered: bool
    # why not; empty if it was delivered
    why: str


def notify_test(config: options.Config, /, *, lang: options.Lang = None, as_json: options.AsJson = False) -> int:
    """Send a message that says TEST through every sink; return 0 if each took it, else 1.

    It uses the settings, the code and the limits of the running process, and needs none to run.
    """
    import secrets
    import sys

    from endpoints.clocks.clock import clock
    from endpoints.config import settings
    from endpoints.notify import test_notice, words_of
    from endpoints.sinks import sinks
    from endpoints.structured_log import structlog
    from endpoints.texts.i18n import translator

    found = settings.load(config)
    t = translator(lang)
    # the line of the log is no data of this command
    structlog.configure(
        processors=[structlog.processors.JSONRenderer(ensure_ascii=False)],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    notice = test_notice(found, words_of(found, clock(found.exercise_clock).now), secrets.token_hex(8))
    outcomes = asyncio.run(_deliver(sinks(found.notifications), notice))
    if as_json:
        print_json({"id": notice["id"], "text": notice["text"], "sinks": outcomes})
    for each in () if as_json else outcomes:
        name = f"{each.sink} ({t.term('sink', each.sink)})"
        print_lines(
            [
                f"{name}: {t('delivered')}"
                if each.delivered
                else t("{sink}: NOT delivered: {why}", sink=name, why=t.say(each.why))
            ]
        )
    if not outcomes:
        say(t("{path}: no receiver of notifications; name one in [notifications]", path=found.path))
    elif any(each.sink == "log" for each in outcomes):
        say(t("the line of the log is above; a running process writes it to its own log"))
    if isinstance(found, settings.WatchSettings) and found.dead_man.url:
        say(t("dead_man was not tried: a sign of life from here would hide that the watch does not run"))
    return 0 if outcomes and all(each.delivered for each in outcomes) else 1


async def _deliver(receivers: Sequence[Sink], notice: dict[str, Any]) -> list[TestDelivery]:
    """Deliver to all at once, each within its own limit."""
    return await asyncio.gather(*(_try(sink, notice) for sink in receivers))


async def _try(sink: Sink, notice: dict[str, Any]) -> TestDelivery:
    from endpoints.sinks import DeliveryError

    try:
        await sink.deliver(notice)
    except DeliveryError as error:
        return TestDelivery(sink=sink.name, delivered=False, why=error.args[0])
    return TestDelivery(sink=sink.name, delivered=True, why="")
