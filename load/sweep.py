"""Sweeps one option over a run of values, beyond the knee."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from endpoints.texts.i18n import Translator
from load.interrupts import Interrupts
from load.knee import VALUES, Sweep, SweepStep, enough, knee_of, step_of, with_value
from load.local_stack import local_stack
from load.plan import LoadPlan, SweptOption
from load.provenance import provenance
from load.report import origin_rows, write_csv, write_json, write_page, written_to
from load.running_stack import RunningPair, running_stack
from load.session import Session, Teller
from load.stack import Stack


async def swept(
    plan: LoadPlan,
    option: SweptOption,
    folder: Path,
    pair: RunningPair | None,
    teller: Teller,
    command: str,
    interrupts: Interrupts,
) -> Sweep:
    """Measure one value of `option` after another until the knee is passed. Raises UserError.

    Args:
        plan: the other options.
        option: the one that is swept.
        folder: where a stack of our own is made.
        pair: two running endpoints instead.
        teller: tells how far it is.
        command: the command line, for the record.
        interrupts: end it in order, with the steps that were measured.
    """
    steps: list[SweepStep] = []
    broken, unreceipted = 0, 0
    origin = provenance(command, plan.seed, folder if pair is None else pair.links[0].journals[0])
    async with AsyncExitStack() as kept:
        stack: Stack | None = None
        for value in VALUES[option]:
            step = with_value(plan, option, value)
            if stack is None or option == "links":
                await kept.aclose()
                stack = await kept.enter_async_context(_stack(step, folder, pair, teller))
            session = Session(step, teller, command, interrupts)
            outcome = await session.over(stack, None, origin)
            if outcome.summary is not None:
                steps.append(step_of(value, outcome.summary))
                broken += outcome.summary.broken
                unreceipted += outcome.summary.unreceipted
            if interrupts.happened or unreceipted or enough(option, steps):
                break
    return Sweep(
        option=option,
        steps=steps,
        knee=knee_of(option, steps),
        complete=not (interrupts.happened or unreceipted),
        lost=broken,
        unreceipted=unreceipted,
        plan=plan,
        provenance=origin,
    )


@asynccontextmanager
async def _stack(plan: LoadPlan, folder: Path, pair: RunningPair | None, teller: Teller) -> AsyncIterator[Stack]:
    if pair is not None:
        async with running_stack(pair) as running:
            yield running
        return
    teller.starting()
    async with local_stack(folder, links=plan.links, at_queue=plan.at == "queue") as local:
        yield local


def write_sweep(folder: Path, sweep: Sweep, lines: Sequence[str], t: Translator) -> None:
    """Write the report of a sweep into `folder`, which is empty. Raises UserError if the folder can't take it."""
    from load import plots

    steps = [(step.value, step.rate_per_s, step.p50_ms, step.p99_ms) for step in sweep.steps]
    pictures = {"sweep": plots.against(sweep.option, steps, sweep.knee, t)}
    stages = {f"{step.value:g}": step.stages for step in sweep.steps if step.stages}
    if stages:
        pictures["stages"] = plots.stacked(stages, t, f"--{sweep.option}")
    with written_to(folder):
        write_json(folder / "sweep.json", sweep)
        write_csv(folder / "sweep.csv", ("value", "rate_per_s", "p50_ms", "p99_ms"), steps)
        write_page(folder, t("Load test of the link"), lines, origin_rows(sweep.provenance, t), pictures, t)
