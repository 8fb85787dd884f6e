"""What `deconflict load` does: one run, its result on the screen and in the report, and the exit code."""

from __future__ import annotations

import asyncio
import selectors
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from msgspec import Struct

from endpoints.cli.output import print_json, print_lines, say
from endpoints.errors import UserError
from endpoints.texts.i18n import Translator
from load.baseline import changes, load_baseline
from load.interrupts import Interrupts
from load.knee import Sweep
from load.local_stack import require_local
from load.measurements import Measured, Measurement
from load.plan import LoadPlan, SweptOption, What, new_report_folder
from load.report import SUMMARY, write_json, write_report, written_to
from load.running_stack import running_pair
from load.session import RunOutcome, Session
from load.summary import Summary
from load.sweep import swept, write_sweep
from load.table import ProgressLine, change_lines, result_lines, sweep_lines
from protocol.phrases import phrase

EXIT_FAILED = 1
EXIT_MISSED = 7
EXIT_INTERRUPTED = 130
FOLDER = Path("/var/tmp")  # noqa: S108 - on a disk, where /tmp may be memory; a folder in it is made by mkdtemp

T = TypeVar("T")


class BaselineLimit(Struct, frozen=True, kw_only=True):
    """An earlier summary, and by which share figures may be worse."""

    baseline: Path
    allowed: float


def exchange(
    plan: LoadPlan,
    *,
    folder: Path,
    endpoints: tuple[Path, Path] | None,
    link: str | None,
    report: Path | None,
    against: BaselineLimit | None,
    as_json: bool,
    t: Translator,
) -> int:
    """Measure exchanges and return the exit code. Raises UserError."""
    pair = running_pair(*endpoints, plan.links, link) if endpoints else None
    if pair is None:
        require_local(folder, plan.size_bytes)
    journals = folder if pair is None else pair.links[0].journals[0]
    before = None if against is None else load_baseline(against.baseline, plan, journals)
    new_report_folder(report)
    teller = ProgressLine(plan, t)

    async def run(interrupts: Interrupts) -> RunOutcome:
        session = Session(plan, teller, _command(), interrupts)
        return await (session.over_local_stack(folder) if pair is None else session.over_running_stack(pair))

    outcome = on_precise_loop(run, teller.stopping)
    if outcome.summary is None:
        return EXIT_INTERRUPTED
    if as_json:
        print_json(outcome.summary)
    else:
        print_lines(result_lines(outcome.summary, t))
    if report is not None:
        write_report(report, outcome, outcome.summary, t)
    code = _verdict(outcome, outcome.summary)
    if before is None or against is None:
        return code
    found = changes(before, outcome.summary)
    # beside JSON, what is for people goes to standard error
    print_lines(change_lines(found, against.allowed, t), stderr=as_json)
    return code or (EXIT_MISSED if any(each.regressed(against.allowed) for each in found) else 0)


def sweep(
    plan: LoadPlan,
    option: SweptOption,
    *,
    folder: Path,
    endpoints: tuple[Path, Path] | None,
    link: str | None,
    report: Path | None,
    as_json: bool,
    t: Translator,
) -> int:
    """Sweep an option and return the exit code. Raises UserError."""
    pair = running_pair(*endpoints, plan.links, link) if endpoints else None
    if pair is None:
        require_local(folder, plan.size_bytes)
    new_report_folder(report)
    teller = ProgressLine(plan, t)

    async def run(interrupts: Interrupts) -> Sweep:
        return await swept(plan, option, folder, pair, teller, _command(), interrupts)

    found = on_precise_loop(run, teller.stopping)
    lines = list(sweep_lines(found, t))
    if as_json:
        print_json(found)
    else:
        print_lines(lines)
    if report is not None:
        write_sweep(report, found, lines, t)
    if found.lost:
        raise UserError(phrase("the link broke its promise {count} times", count=found.lost), exit_code=EXIT_FAILED)
    _require_receipts(found.unreceipted)
    return 0 if found.complete else EXIT_INTERRUPTED


def measure(
    what: What, plan: LoadPlan, count: int, *, folder: Path, report: Path | None, as_json: bool, t: Translator
) -> int:
    """Measure something else than exchanges and return the exit code. Raises UserError."""
    require_local(folder, plan.size_bytes)
    new_report_folder(report)
    measurement = Measurement(plan, count, folder, _command(), lambda told: say(t.say(told)))

    async def run(_interrupts: Interrupts) -> Measured:
        return await measurement.run(what)

    found = on_precise_loop(run)
    if as_json:
        print_json(found)
    else:
        print_lines(f"{name:<32}{value:>14g}" for name, value in found.figures.items())
    if report is not None:
        with written_to(report):
            write_json(report / SUMMARY, found)
    return 0


def _command() -> str:
    return " ".join(["deconflict", *sys.argv[1:]])


def _verdict(outcome: RunOutcome, summary: Summary) -> int:
    """Return the exit code. Raises UserError if an alert was lost, or has no receipt."""
    if summary.broken:
        raise UserError(
            phrase(
                "the link broke its promise: {lost} lost, {doubled} doubled, {reordered} reordered, {refused} refused",
                lost=summary.lost,
                doubled=summary.doubled,
                reordered=summary.reordered,
                refused=summary.refused,
            ),
            exit_code=EXIT_FAILED,
        )
    _require_receipts(summary.unreceipted)
    if outcome.interrupted:
        return EXIT_INTERRUPTED
    return EXIT_MISSED if any(not goal.met for goal in summary.goals) else 0


def _require_receipts(missing: int) -> None:
    if missing:
        raise UserError(
            phrase(
                "{count} alerts have no receipt: the other side has stopped or hangs; they wait in the sender's outbox",
                count=missing,
            ),
            exit_code=EXIT_FAILED,
        )


def _nothing() -> None:
    """Tell nobody."""


def on_precise_loop(work: Callable[[Interrupts], Coroutine[Any, Any, T]], stopping: Callable[[], None] = _nothing) -> T:
    """Run `work` to its end on a loop that waits with the clock's precision: epoll waits in milliseconds.

    `stopping` is called when an interrupt begins to end it in order. Raises KeyboardInterrupt if one gave it up.
    """

    async def caught() -> T:
        return await work(Interrupts(stopping))

    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner:
        try:
            return runner.run(caught())
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None
