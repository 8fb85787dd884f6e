"""Prints the result of a run for a person, in 80 columns, and how far it is."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from textwrap import wrap
from typing import TextIO

from endpoints.texts.i18n import Translator
from load.baseline import FigureChange
from load.histogram import Percentiles
from load.knee import Sweep
from load.plan import LoadPlan
from load.summary import Figures, Summary
from load.yardsticks.subject import LEAN_P50_MAX, LEAN_RATE_MIN

_NAME_COLUMNS = 22
_COLUMNS = 9
_LINE_COLUMNS = 80
_LATENCIES = ("p50", "p90", "p99", "p999", "max")


class ProgressLine:
    """Tells how far a run is: on a terminal in one line that changes, elsewhere in a line for each repeat."""

    def __init__(self, plan: LoadPlan, t: Translator, out: TextIO = sys.stderr) -> None:
        self._plan = plan
        self._t = t
        self._out = out
        self._live = out.isatty()
        self._shown = 0
        self._repeat = -1

    def starting(self) -> None:
        """The stack starts."""
        t = self._t
        self._show(t("starting a stack"))

    def measuring(self, repeat: int, subject: str, done: int) -> None:
        """A subject is measured."""
        t, plan = self._t, self._plan
        if self._live:
            where = t("repeat {number} of {count}", number=repeat + 1, count=plan.repeats)
            what = t.plural("{count} exchange", "{count} exchanges", done)
            self._show(f"{where}: {t.term('subject', subject)}: {what}")
        elif repeat != self._repeat:
            self._show(t("repeat {number} of {count}", number=repeat + 1, count=plan.repeats))
        self._repeat = repeat

    def checking(self) -> None:
        """The skeleton is checked."""
        t = self._t
        self._show(t("checking the skeleton without its flush"))

    def clearing(self) -> None:
        """The receiver acknowledges."""
        t = self._t
        if self._live:
            self._show(t("the receiver acknowledges the alerts"))

    def counting(self) -> None:
        """The journals are read."""
        t = self._t
        self._show(t("reading both journals"))

    def stopping(self) -> None:
        """The run ends early."""
        t = self._t
        self._show(t("stopping in order; Ctrl-C again gives up the report"))

    def over(self) -> None:
        """Nothing more is told."""
        if self._live and self._shown:
            self._out.write("\r" + " " * self._shown + "\r")
            self._out.flush()
            self._shown = 0

    def _show(self, text: str) -> None:
        if self._live:
            self._out.write("\r" + text.ljust(self._shown))
            self._shown = len(text)
        else:
            self._out.write(text + "\n")
        self._out.flush()


def result_lines(summary: Summary, t: Translator) -> Iterator[str]:
    """Yield the lines of a result."""
    yield t.plural(
        "{count} exchange measured, {rate} a second",
        "{count} exchanges measured, {rate} a second",
        summary.exchanges,
        rate=f"{summary.rate_per_s:g}",
    )
    counted = t(
        "alerts: {sent} sent, {received} received, {lost} lost, {doubled} doubled, {reordered} reordered",
        sent=summary.sent,
        received=summary.received,
        lost=summary.lost,
        doubled=summary.doubled,
        reordered=summary.reordered,
    )
    yield from wrap(counted, _LINE_COLUMNS)
    if summary.refused or summary.unreceipted:
        yield t(
            "alerts: {refused} refused, {unreceipted} without a receipt",
            refused=summary.refused,
            unreceipted=summary.unreceipted,
        )
    if summary.ends == "written":
        yield t("an exchange ends here when the receipt is written at the sender, before its flush")
    yield ""
    yield _row(t("latency, ms"), ["p50", "p90", "p99", "p99.9", "max", t("per s")])
    yield _row(t.term("subject", "link"), [*_values(summary.latency_ms), f"{summary.rate_per_s:.5g}"])
    known = [(name, found) for name, found in summary.yardsticks.items() if found is not None]
    for name, found in known:
        yield _row(t.term("subject", name), [*_values(found.latency_ms), f"{found.rate_per_s:.5g}"])
    for name, _ in known:
        ratio = summary.ratio[name] or {}
        yield _row(
            t("link / {yardstick}", yardstick=t.term("subject", name)),
            [f"{ratio[key]:.3g}" if key in ratio else "-" for key in (*_LATENCIES, "rate")],
        )
    yield from _skeleton(summary, t)
    yield t("p99 of the worst second, ms: {value}", value=f"{summary.p99_of_worst_second_ms:.4g}")
    if summary.stages:
        yield ""
        yield _row(t("stage, ms"), ["p50", "p90", "p99", "p99.9", "max", t("mean")])
        for name, stage in summary.stages.items():
            yield _row(t.term("stage", name), [*_values(stage.ms), f"{stage.mean:.4g}"])
    yield ""
    yield from _processors(summary, known, t)
    if summary.memory_mib:
        each = ", ".join(f"{process} {value:g}" for process, value in summary.memory_mib.items())
        yield t("memory, MiB: {each}", each=each)
    for goal in summary.goals:
        met = t("met") if goal.met else t("MISSED")
        yield t("goal {goal}: {value}, {met}", goal=goal.goal, value=f"{goal.value:.5g}", met=met)
    if not summary.complete:
        yield t("ended early: these are the figures up to then")


def _skeleton(summary: Summary, t: Translator) -> Iterator[str]:
    check = summary.skeleton
    if check is None or check.counts:
        return
    text = t(
        "the ratios to the skeleton don't count: without its flush it needs {p50} of the floor's p50 (at most "
        "{p50_max}) and has {rate} of its rate (at least {rate_min}); is the machine idle?",
        p50=f"{check.p50_ratio:g}x",
        p50_max=f"{LEAN_P50_MAX:g}x",
        rate=f"{check.rate_ratio:g}x",
        rate_min=f"{LEAN_RATE_MIN:g}x",
    )
    yield from wrap(text, _LINE_COLUMNS)


def sweep_lines(sweep: Sweep, t: Translator) -> Iterator[str]:
    """Yield the lines of a sweep."""
    yield _row(f"--{sweep.option}", [t("per s"), "p50", "p99"])
    for step in sweep.steps:
        mark = "  <-" if step.value == sweep.knee else ""
        yield _row(f"{step.value:g}", [f"{each:.4g}" for each in (step.rate_per_s, step.p50_ms, step.p99_ms)]) + mark
    if sweep.knee is None:
        yield t("no knee: every step was within its limits")
    else:
        yield t("knee: {value}", value=f"{sweep.knee:g}")
    if not sweep.complete:
        yield t("ended early: these are the figures up to then")


def change_lines(changes: Sequence[FigureChange], allowed: float, t: Translator) -> Iterator[str]:
    """Yield a line for each figure beside the baseline's."""
    for each in changes:
        share = each.worse if each.ratio_worse is None else each.ratio_worse
        values = {
            "name": each.name,
            "before": f"{each.before:.4g}",
            "after": f"{each.after:.4g}",
            "share": _percent(share),
        }
        verdict = t("WORSE than allowed") if each.regressed(allowed) else t("within what is allowed")
        if each.ratio_worse is None:
            yield t(
                "{name}: {before} -> {after}: {share} worse: {verdict}",
                verdict=verdict,
                **values,
            )
        else:
            yield t(
                "{name}: {before} -> {after}; its ratio to the skeleton is {share} worse: {verdict}",
                verdict=verdict,
                **values,
            )


def _percent(share: float) -> str:
    return f"{share * 100:+.1f} %"


def _processors(summary: Summary, known: Sequence[tuple[str, Figures]], t: Translator) -> Iterator[str]:
    rows = [("link", summary.cpu_us), *((name, found.cpu_us) for name, found in known)]
    for name, used in rows:
        if used:
            each = ", ".join(f"{process} {value:.0f}" for process, value in used.items())
            yield t("CPU of an exchange, us: {subject}: {each}", subject=t.term("subject", name), each=each)


def _values(found: Percentiles) -> list[str]:
    return [f"{getattr(found, name):.4g}" for name in _LATENCIES]


def _row(name: str, cells: Sequence[str]) -> str:
    return name.ljust(_NAME_COLUMNS) + "".join(cell.rjust(_COLUMNS) for cell in cells)
