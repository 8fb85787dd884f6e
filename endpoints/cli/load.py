"""`deconflict load`: the load test."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from inspect import signature
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from endpoints.cli import options
from endpoints.errors import UserError
from protocol.phrases import phrase

_BOTH = 2
NEEDS = ("hdrh", "matplotlib")
"""The modules of the extra `load`. Without a report, the second is not needed."""


def load(
    *endpoints: Annotated[
        Path, Parameter(help="Two running endpoints, the sender's endpoint.toml first; none for a stack of its own.")
    ],
    what: Annotated[
        Literal["exchange", "replay", "verify", "startup", "backlog", "links", "control"],
        Parameter(help="What is measured; all but exchanges over stacks of its own."),
    ] = "exchange",
    count: Annotated[
        int, Parameter(help="How many alerts make the journal to replay, verify or start on, or the backlog.")
    ] = 2_000,
    rate: Annotated[
        float | None, Parameter(help="Exchanges a second that begin on schedule, whatever comes back; 20 by default.")
    ] = None,
    window: Annotated[int | None, Parameter(help="Exchanges in flight instead: each that ends begins another.")] = None,
    duration: Annotated[str, Parameter(help="How long each repeat is measured, such as 10s.")] = "10s",
    warmup: Annotated[str, Parameter(help="How long each repeat runs before that.")] = "2s",
    ramp: Annotated[str, Parameter(help="How long the rate or the window grows at the beginning.")] = "0s",
    links: Annotated[int, Parameter(help="How many links take turns.")] = 1,
    size: Annotated[int, Parameter(help="Bytes of a frame with one alert.")] = 1_213,
    arrival: Annotated[
        Literal["constant", "poisson"], Parameter(help="Even gaps between arrivals, or random ones.")
    ] = "constant",
    seed: Annotated[int, Parameter(help="Decides the random gaps.")] = 1,
    repeats: Annotated[int, Parameter(help="How often link and yardsticks alternate.")] = 5,
    yardsticks: Annotated[
        bool,
        Parameter(show_default=False, help="Measure also the least that any implementation must do, in the same run."),
    ] = True,
    at: Annotated[
        Literal["control", "queue"],
        Parameter(help="Where requests go: to the control socket, or to the queue inside the endpoint's process."),
    ] = "control",
    sweep: Annotated[
        Literal["rate", "size", "links", "window"] | None,
        Parameter(help="Measure one value of this option after another, up to the knee and a little beyond."),
    ] = None,
    slo: Annotated[
        list[str] | None,
        Parameter(negative="", help="A goal such as 'p99<50ms'; exit 7 if it is missed."),
    ] = None,
    baseline: Annotated[
        Path | None, Parameter(help="An earlier summary.json to compare with; see --regress.", negative="")
    ] = None,
    regress: Annotated[
        str, Parameter(help="How much worse than the baseline figures may be; exit 7 if they are worse.")
    ] = "10%",
    report: Annotated[Path | None, Parameter(help="A new folder for the report.")] = None,
    link: options.LinkId = None,
    folder: Annotated[
        Path | None, Parameter(help="Where the load test's own stack keeps its journals; by default /var/tmp.")
    ] = None,
    as_json: options.AsJson = False,
    lang: options.Lang = None,
) -> int:
    """Measure exchanges: an alert, journaled, received, journaled there, receipted, and the receipt journaled here."""
    given = _differing(locals())
    require_extra(plots=report is not None)
    from endpoints.texts.i18n import translator
    from load.applicable import require_applicable
    from load.command import FOLDER, BaselineLimit, exchange, measure
    from load.command import sweep as sweep_option
    from load.measurements import BACKLOG_MAX, COUNT_MAX
    from load.plan import RATE_DEFAULT, LoadPlan, check, duration_s, goals, regression_share

    plan = LoadPlan(
        at=at,
        rate=RATE_DEFAULT if rate is None and window is None else rate,
        window=window,
        duration_s=duration_s("--duration", duration),
        warmup_s=duration_s("--warmup", warmup),
        ramp_s=duration_s("--ramp", ramp),
        links=links,
        size_bytes=size,
        arrival=arrival,
        seed=seed,
        repeats=repeats,
        yardsticks=yardsticks,
        goals=goals(slo or ()),
    )
    check(plan)
    require_applicable(given, what, sweep, running=bool(endpoints))
    if endpoints and len(endpoints) != _BOTH:
        raise UserError(phrase("name two endpoints, the sender's first, or none"))
    if endpoints and at == "queue":
        raise UserError(phrase("--at queue: the queue of a running endpoint can't be reached; leave the endpoints out"))
    most = BACKLOG_MAX if what == "backlog" else COUNT_MAX
    if not 1 <= count <= most:
        raise UserError(phrase("--count: expected a number from 1 to {most}, found {value}", most=most, value=count))
    if what != "exchange" and endpoints:
        raise UserError(phrase("--what {what}: it has stacks of its own; leave the endpoints out", what=what))
    both = (endpoints[0], endpoints[1]) if endpoints else None
    place, t = folder or FOLDER, translator(lang)
    if what != "exchange":
        return measure(what, plan, count, folder=place, report=report, as_json=as_json, t=t)
    if sweep is not None:
        return sweep_option(plan, sweep, folder=place, endpoints=both, link=link, report=report, as_json=as_json, t=t)
    allowed = regression_share(regress)
    against = None if baseline is None else BaselineLimit(baseline=baseline, allowed=allowed)
    return exchange(
        plan,
        folder=place,
        endpoints=both,
        link=link,
        report=report,
        against=against,
        as_json=as_json,
        t=t,
    )


_SPELLED = {"as_json": "json", "yardsticks": "no-yardsticks"}


def _differing(values: Mapping[str, object]) -> set[str]:
    """Return the names of the options whose values are not the defaults."""
    options = signature(load).parameters.values()
    return {_SPELLED.get(each.name, each.name) for each in options if values[each.name] not in (each.default, ())}


def require_extra(*, plots: bool) -> None:
    """Raise UserError, which says what to install, if a library is missing; `plots` need one more."""
    if any(find_spec(module) is None for module in (NEEDS if plots else NEEDS[:1])):
        raise UserError(
            phrase("the load test is an extra; install it: {command}", command="pip install 'deconfliction-link[load]'")
        )
