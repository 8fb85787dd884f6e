"""`deconflict schedule`: lists the next line tests, in UTC and in both sites' local time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from endpoints.cli import options
from endpoints.cli.output import console, print_json
from endpoints.errors import UserError
from protocol.phrases import phrase

if TYPE_CHECKING:
    from endpoints.config.link_file import LinkFile
    from endpoints.texts.i18n import Translator

_COUNT_MAX = 1_000
_DAY_MS = 86_400_000
_HORIZON_DAYS = 3_660
"""Ten years; later slots are not listed."""


def schedule(
    config: options.Config,
    /,
    *,
    count: Annotated[int, Parameter(name=("--count", "-n"), help="The number of line tests to list.")] = 6,
    link: options.LinkId = None,
    lang: options.Lang = None,
    as_json: options.AsJson = False,
) -> None:
    """List the next line tests in UTC and both sites' local time."""
    from endpoints.clocks import slots
    from endpoints.clocks.clock import clock
    from endpoints.config import settings
    from endpoints.texts.i18n import translator
    from protocol.wire.instants import parsed

    if not 1 <= count <= _COUNT_MAX:
        raise UserError(phrase("--count: expected 1 to {limit}, found {count}", limit=_COUNT_MAX, count=count))
    found = settings.load(config)
    content = found.link(link).content
    terms = content.terms
    at, _ = clock(found.exercise_clock).now()
    coming = _coming(content, at, count)
    sites = [(side, content.parties[side]) for side in (terms.caller, terms.answering)]
    if as_json:
        rows = [
            {"slot": slot}
            | {side: slots.local(parsed(slot), party.zone).isoformat(timespec="seconds") for side, party in sites}
            for slot in coming
        ]
        how = {"placed_by": terms.policy.placed_by, "caller": terms.caller, "grace_s": terms.policy.grace_s}
        print_json({"link": terms.link, "tzdata": slots.tzdata_version(), **how, "slots": rows})
        return
    t = translator(lang)

    from rich.table import Table
    from rich.text import Text

    # three Russian dates fit into 80 columns with one space between them
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for title in ("UTC\n", *(f"{side}, {party.site}\n{party.zone}" for side, party in sites)):
        table.add_column(Text(title))
    for slot in coming:
        instant = parsed(slot)
        table.add_row(*(Text(t.instant(instant, zone)) for zone in ("UTC", *(party.zone for _, party in sites))))
    out = console()
    out.print(table)
    if who := who_places(content, found.side, t):
        out.print(Text(who))


def who_places(content: LinkFile, side: str, t: Translator) -> str:
    """Return in words that officers place the tests of the slots, and within what time (SPEC W1.3); else nothing."""
    terms = content.terms
    within = t.duration(terms.policy.grace_s)
    if terms.policy.placed_by == "service":
        return ""
    if side == terms.caller:
        return t("an officer of this side places each test, within {time} of its slot: deconflict test", time=within)
    return t("an officer of {side} places each test, within {time} of its slot", side=terms.caller, time=within)


def _coming(content: LinkFile, at: int, count: int) -> tuple[str, ...]:
    from endpoints.clocks import slots

    policy = content.terms.policy
    days = 14
    while True:
        coming = slots.plan(policy.slots, policy.zone, at, at + days * _DAY_MS)
        if len(coming) >= count or days >= _HORIZON_DAYS:
            return coming[:count]
        days *= 4
