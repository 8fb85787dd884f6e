"""What a run of the load test is to do: its options, checked before anything starts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise, takewhile
from pathlib import Path
from typing import Literal

from msgspec import Struct

from endpoints.config.durations import parse_s
from endpoints.config.settings_tables import LINKS_MAX
from endpoints.errors import UserError, os_reason
from load.arrivals import SECOND_NS, Arrival, intended_ns
from load.driver import Load
from protocol.phrases import phrase

At = Literal["control", "queue"]
What = Literal["exchange", "replay", "verify", "startup", "backlog", "links", "control"]
SweptOption = Literal["rate", "size", "links", "window"]
Measure = Literal["p50", "p90", "p99", "p999", "max", "rate"]

RATE_DEFAULT = 20.0
RATE_MAX = 100_000.0
WINDOW_MAX = 4_096
"""As many as the endpoint's queue holds."""
REPEATS_MAX = 100
SECONDS_MAX = 86_400
SIZE_DEFAULT_BYTES = 1_213
EXCHANGES_MAX = 5_000_000
"""Of one repeat: their times are kept in memory."""
PATIENCE_S = 30.0
"""How long the last exchanges may take."""
_GOAL = re.compile(r"(p50|p90|p99|p99\.9|p999|max|rate)\s*([<>])\s*([0-9]+(?:\.[0-9]+)?)\s*(us|ms|s|/s)?", re.ASCII)
_PERCENT = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*%", re.ASCII)
_MEASURES: dict[str, Measure] = {
    "p50": "p50",
    "p90": "p90",
    "p99": "p99",
    "p99.9": "p999",
    "p999": "p999",
    "max": "max",
    "rate": "rate",
}
_IN_MS = {"us": 0.001, "ms": 1.0, "s": 1_000.0}


class Goal(Struct, frozen=True, kw_only=True):
    """A goal of the run: a percentile below a limit in milliseconds, or a rate above one."""

    text: str
    measure: Measure
    limit: float

    def met(self, value: float) -> bool:
        """Return whether `value`, in milliseconds or exchanges a second, meets the goal."""
        return value > self.limit if self.measure == "rate" else value < self.limit


class LoadPlan(Struct, frozen=True, kw_only=True):
    """The options of a run.

    Attributes:
        at: whether requests go through the control socket or the queue of the endpoint's process.
        rate: arrivals a second of the open model, None for the closed model.
        window: exchanges in flight of the closed model, None for the open model.
        duration_s, warmup_s, ramp_s: of each repeat; the ramp is the beginning of the warm-up or the duration.
        links: how many links take turns.
        size_bytes: of a frame with one alert.
        arrival: how the open model spaces its arrivals.
        seed: decides them.
        repeats: how often link and yardsticks alternate.
        yardsticks: whether they are measured too.
        goals: what must be met, or the exit code is 7.
    """

    at: At = "control"
    rate: float | None = None
    window: int | None = None
    duration_s: int = 10
    warmup_s: int = 2
    ramp_s: int = 0
    links: int = 1
    size_bytes: int = SIZE_DEFAULT_BYTES
    arrival: Arrival = "constant"
    seed: int = 1
    repeats: int = 5
    yardsticks: bool = True
    goals: tuple[Goal, ...] = ()

    @property
    def seconds(self) -> int:
        """How long exchanges begin in each repeat."""
        return self.warmup_s + self.duration_s

    def loads(self, repeat: int, count_max: int, seconds_max: float = SECONDS_MAX) -> list[Load]:
        """Return the slices of one repeat, of at most `count_max` exchanges and about `seconds_max` each.

        The closed model's is one, which the caller continues until the time is over.
        """
        if self.rate is None:
            return [
                Load(
                    window=self.window or 1,
                    seconds=min(self.seconds, max(seconds_max, self.ramp_s)),
                    warmup_s=self.warmup_s,
                    ramp_s=self.ramp_s,
                    count_max=count_max,
                    patience_s=PATIENCE_S,
                )
            ]
        end_ns = self.seconds * SECOND_NS
        arrivals = intended_ns(self.rate, self.arrival, self.ramp_s, self.seed + repeat)
        pieces: list[list[int]] = []
        for offset_ns in takewhile(lambda each: each < end_ns, arrivals):
            full = pieces and len(pieces[-1]) == count_max
            if not pieces or full or offset_ns - pieces[-1][0] >= seconds_max * SECOND_NS:
                pieces.append([])
            pieces[-1].append(offset_ns)
        begins_ns = [0, *(piece[0] for piece in pieces[1:]), end_ns]
        return [self._slice(piece, *around) for piece, around in zip(pieces, pairwise(begins_ns), strict=False)]

    def _slice(self, offsets_ns: Sequence[int], begins_ns: int, ends_ns: int) -> Load:
        return Load(
            offsets_ns=tuple(each - begins_ns for each in offsets_ns),
            seconds=(ends_ns - begins_ns) / SECOND_NS,
            warmup_s=max(0.0, self.warmup_s - begins_ns / SECOND_NS),
            count_max=len(offsets_ns),
            patience_s=PATIENCE_S,
        )


def check(plan: LoadPlan) -> None:
    """Raise UserError if the options contradict each other or are out of range."""
    if plan.rate is not None and plan.window is not None:
        raise UserError(phrase("--rate and --window: give one; --rate is the open model, --window the closed one"))
    _within("--rate", plan.rate, 0.01, RATE_MAX)
    _within("--window", plan.window, 1, WINDOW_MAX)
    _within("--links", plan.links, 1, LINKS_MAX)
    _within("--repeats", plan.repeats, 1, REPEATS_MAX)
    _within("--duration", plan.duration_s, 1, SECONDS_MAX)
    if plan.arrival == "poisson" and plan.rate is None:
        raise UserError(phrase("--arrival: poisson is of the open model; give --rate instead of --window"))
    if plan.ramp_s > plan.seconds:
        raise UserError(phrase("--ramp: longer than warm-up and duration together"))
    if plan.rate is not None and plan.rate * plan.seconds > EXCHANGES_MAX:
        raise UserError(
            phrase("--rate, --duration: more than {count} exchanges in one repeat; give less", count=EXCHANGES_MAX)
        )


def _within(option: str, value: float | None, least: float, most: float) -> None:
    if value is not None and not least <= value <= most:
        raise UserError(
            phrase(
                "{option}: expected a number from {least} to {most}, found {value}",
                option=option,
                least=f"{least:g}",
                most=f"{most:g}",
                value=f"{value:g}",
            )
        )


def duration_s(option: str, text: str) -> int:
    """Return a duration such as `10s` in seconds; `0s` is one. Raises UserError."""
    try:
        seconds = parse_s(text)
    except ValueError as error:
        raise UserError(phrase("{option}: {error}", option=option, error=error)) from None
    if seconds > SECONDS_MAX:
        raise UserError(phrase("{option}: a day at most, found {text}", option=option, text=text))
    return seconds


def goals(texts: Sequence[str]) -> tuple[Goal, ...]:
    """Return the goals in texts such as `p99<50ms` or `rate>300`, each with one or several. Raises UserError."""
    return tuple(_goal(each.strip()) for text in texts for each in text.split(","))


def _goal(text: str) -> Goal:
    match = _GOAL.fullmatch(text)
    if match is not None:
        measure, sign, number, unit = match.group(1, 2, 3, 4)
        rate = measure == "rate"
        if sign == (">" if rate else "<") and (unit in {None, "/s"}) == rate:
            limit = float(number) * (1.0 if rate else _IN_MS[unit])
            return Goal(text=text, measure=_MEASURES[measure], limit=limit)
    raise UserError(phrase("--slo: expected a goal such as p99<50ms or rate>300, found {text}", text=repr(text[:40])))


def regression_share(text: str) -> float:
    """Return what a percentage such as `10%` allows, as a share. Raises UserError."""
    match = _PERCENT.fullmatch(text.strip())
    if match is None:
        raise UserError(phrase("--regress: expected a percentage such as 10%, found {text}", text=repr(text[:40])))
    return float(match[1]) / 100


def new_report_folder(path: Path | None) -> None:
    """Raise UserError if the folder for the report has files, or can't be made."""
    if path is None:
        return
    try:
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise UserError(phrase("--report: {path}: exists already; name a new folder", path=path))
        path.mkdir(parents=True, exist_ok=True)
        probe = path / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UserError(phrase("--report: {path}: {reason}", path=path, reason=os_reason(error))) from None
