"""`deconflict demo`: plays a scenario and reports whether it ended as expected."""

from __future__ import annotations

import asyncio
import logging
import signal
import tempfile
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from endpoints.cli import options, output
from endpoints.cli.demo_check import checked
from endpoints.cli.output import print_json, say
from endpoints.clocks import slots
from endpoints.clocks.clock import SystemClock
from endpoints.clocks.exercise_table import RATE_MAX
from endpoints.errors import UserError, os_reason
from endpoints.keys.private_files import FOLDER_MODE, PUBLIC_FOLDER_MODE, forbid_others, make_folders
from endpoints.keys.process_memory import protect
from endpoints.process import stop_signals
from endpoints.structured_log import structlog
from endpoints.texts.i18n import translator
from protocol.phrases import phrase
from protocol.wire.instants import Millis, parsed
from scenario.files import PACKAGED, load, packaged
from scenario.final_audit import FinalAudit, all_links, close
from scenario.narrator import Narrator
from scenario.player import Player
from scenario.rehearsal import Rehearsal
from scenario.steps import Scenario, simulated_alone
from scenario.timetable import plan

EXIT_NOT_AS_EXPECTED = 1
CONSOLE_RATE = 60
"""A day in eleven minutes: slow enough to follow on a screen."""


def demo(
    scenario: Annotated[
        Path | None,
        Parameter(
            help="A scenario file, or one of `november-2022` (a month), `spring` (the hour that is skipped),"
            " `syria-week` (three links); `one-day` by default."
        ),
    ] = None,
    *,
    check: Annotated[
        bool, Parameter(help="Only check the file: each fault in a line of its own, exit 2.", negative=())
    ] = False,
    speed: Annotated[
        str | None, Parameter(help="The highest speed, relative to real time; `max` simulates it in seconds.")
    ] = None,
    console: Annotated[
        bool,
        Parameter(
            help="Serve each side's console to a browser, at 60 times real time unless --speed says otherwise;"
            " everything runs until Ctrl-C.",
            negative=(),
        ),
    ] = False,
    keep: Annotated[Path | None, Parameter(help="A new folder in which keys, journals and output are kept.")] = None,
    as_json: options.AsJson = False,
    lang: options.Lang = None,
) -> int:
    """Play a scenario through real processes: broker, both endpoints, the watch. Exit 0 if it ended as expected."""
    protect()
    t = translator(lang)
    if check:
        given = {"--speed": speed is not None, "--console": console, "--keep": keep is not None}
        for option in (name for name, is_given in given.items() if is_given):
            raise UserError(phrase("--check: not with {option}", option=option))
        return checked(_path(scenario), t, as_json=as_json)
    rate = _rate(speed or str(CONSOLE_RATE if console else RATE_MAX))
    if console and (rate is None or as_json):
        raise UserError(phrase("--console: not with {option}", option="--json" if as_json else "--speed max"))
    story = load(_path(scenario))
    if rate is not None and (which := simulated_alone(story)):
        raise UserError(phrase("{name}: {which}: add --speed max", name=story.name, which=which))
    narrator = Narrator(story, output.console(stderr=as_json), t)
    began = SystemClock().real_ms()
    with _folder(keep) as folder:
        narrator.title()
        if console and rate is not None:
            return _held(story, folder, narrator, rate)
        closing = _simulated(story, folder, narrator) if rate is None else _played(story, folder, narrator, rate)
        seconds = (SystemClock().real_ms() - began) / 1_000
        narrator.closing(closing, seconds)
        if as_json:
            print_json({**closing.document(), "seconds": seconds, "folder": str(folder) if keep else None})
        elif keep is not None:
            say(str(folder))
    return 0 if closing.passed else EXIT_NOT_AS_EXPECTED


def _played(story: Scenario, folder: Path, narrator: Narrator, rate: int) -> FinalAudit:
    """Play the scenario through real processes; return its audit."""
    planned = _slots(story)
    player = Player(story, plan(story, planned, rate), folder, narrator)
    _run(player.play())
    stage = player.stage
    journals = {name: stage.journal(name) for name in stage.names}
    return close(story, planned, stage.file, journals, {name: stage.output(name) for name in stage.names})


def _held(story: Scenario, folder: Path, narrator: Narrator, rate: int) -> int:
    """Play the scenario with a console at each side, and keep everything running until Ctrl-C; return 0."""
    player = Player(story, plan(story, _slots(story), rate), folder, narrator)
    with suppress(KeyboardInterrupt):
        _run(player.play(consoles=True))
    return 0


def _run(play: Coroutine[None, None, None]) -> None:
    """Run `play`. Any signal that stops a process ends it like Ctrl-C, so that everything is stopped in order."""

    async def played() -> None:
        for end in {*stop_signals()} - {signal.SIGINT}:
            asyncio.get_running_loop().add_signal_handler(end, signal.raise_signal, signal.SIGINT)
        await play

    asyncio.run(played())


def _simulated(story: Scenario, folder: Path, narrator: Narrator) -> FinalAudit:
    """Play the scenario through the simulated world; return its audit."""
    # what the services log is in the journals: standard output is for the result
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    rehearsal = Rehearsal(story, narrator)
    rehearsal.run()
    return all_links(
        [
            close(story, _slots(story, link), file, rehearsal.write(folder, link), {})
            for link, file in rehearsal.files.items()
        ]
    )


def _slots(story: Scenario, link: str = "") -> tuple[Millis, ...]:
    """Return the slots of a link of the scenario, by default of the first (ms since 1970). Raises UserError."""
    policy = story.terms(link_id=link).policy
    try:
        planned = slots.plan(policy.slots, policy.zone, parsed(story.starts), parsed(story.ends))
    except ValueError as error:
        raise UserError(phrase("{name}: link.slots: {error}", name=story.name, error=error)) from None
    return tuple(map(parsed, planned))


def _rate(speed: str) -> int | None:
    """Return the highest rate, or None for the simulation. Raises UserError."""
    if speed == "max":
        return None
    if not (speed.isascii() and speed.isdigit()) or not 1 <= int(speed) <= RATE_MAX:
        raise UserError(
            phrase(
                "--speed: not a whole number from 1 to {rate_max}, nor max: {speed}",
                rate_max=RATE_MAX,
                speed=repr(speed[:40]),
            )
        )
    return int(speed)


def _path(given: Path | None) -> Path:
    """Return the scenario's file: a packaged one by its name, `one-day` by default, or the given path."""
    if given is None:
        return packaged(PACKAGED[0])
    return packaged(str(given)) if str(given) in PACKAGED else given


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    """Yield the folder to play in: `keep`, or a temporary one. Raises UserError."""
    if keep is None:
        # a short path: control sockets need one
        with tempfile.TemporaryDirectory(prefix="deconflict-") as folder:
            yield Path(folder)
        return
    try:
        if not make_folders(keep.absolute(), FOLDER_MODE):
            # whatever the umask: no process accepts files that others can replace
            forbid_others(keep, PUBLIC_FOLDER_MODE)
        if any(keep.iterdir()):
            raise UserError(phrase("--keep: {keep} is not empty; name a new folder", keep=keep))
    except OSError as error:
        raise UserError(phrase("--keep: {keep}: {reason}", keep=keep, reason=os_reason(error))) from None
    yield keep.absolute()
