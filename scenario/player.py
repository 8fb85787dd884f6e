"""Plays a scenario through real processes, over a real Mosquitto, on an exercise clock.

Steps are performed at their exercise instants, through the control socket that `deconflict` uses. The rates of the
clock are planned by `timetable`. A higher rate takes effect only when all processes have settled, so a slow machine
plays the same scenario, only more slowly.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

from msgspec import UNSET, to_builtins

from endpoints.clocks.clock import ExerciseClock, SystemClock
from endpoints.clocks.exercise_table import ExerciseTable
from endpoints.config.durations import parse_s
from endpoints.control.client import RequestRefused, Unreachable
from endpoints.errors import UserError
from protocol.core.effects import Notify
from protocol.phrases import phrase
from protocol.record.journal import Record
from protocol.wire.instants import Millis, parsed
from protocol.wire.messages import Heartbeat
from protocol.wire.payloads import read_body
from scenario.narrator import Narrator
from scenario.process_stage import ProcessStage
from scenario.steps import (
    Acknowledge,
    AlertStep,
    Crash,
    LeaveUnanswered,
    Nothing,
    Refuse,
    Restart,
    Scenario,
    Start,
    Step,
    Stop,
)
from scenario.timetable import Pace

UP_WITHIN_S = 60.0
"""Time for all processes to start and connect, on a busy machine."""
SETTLE_WITHIN_S = 60.0
"""Maximum wait for the processes to settle; the slowest reconnection to the broker takes half of it."""
SETTLED_FOR_S = 0.5
ACT_WITHIN_S = 30.0
"""How long an officer retries, while a message they refer to is still on its way or their endpoint is down."""
_LOOK_AGAIN_S = 0.05
CONSOLE_PORTS = (8440, 8441)
"""Of the caller's console and of the answering side's; any other port if one is taken."""
RELEASED_AFTER: Millis = 20_000
"""Time for the second officer to read the draft before releasing it (exercise time)."""
_TOO_EARLY = {"unknown_reference", "busy", "stopping"}
"""Refusals that are temporary, for instance because the message referred to has not arrived yet."""


class Player:
    """Plays one scenario in `folder`; `play` runs it from beginning to end."""

    def __init__(self, scenario: Scenario, paces: Sequence[Pace], folder: Path, narrator: Narrator) -> None:
        self._scenario = scenario
        self._paces = paces
        self._narrator = narrator
        self._real = SystemClock()
        self._table_path = folder / "exercise-clock.json"
        self._table = ExerciseTable.begin(self._real.real_ms(), parsed(scenario.starts), 0)
        self._table.write(self._table_path)
        self._clock = ExerciseClock(self._table_path)
        # the references of alerts, by the index of the step that raises them
        self._references: dict[int, asyncio.Future[str]] = {}
        # the references of line tests that have been received
        self._tests: set[str] = set()
        # the slots of which an officer was notified
        self._slots: set[str] = set()
        self._acting: set[asyncio.Task[None]] = set()
        self._officers = asyncio.TaskGroup()
        self.stage = ProcessStage(folder, scenario, self._table_path, self._hear)

    async def play(self, *, consoles: bool = False) -> None:
        """Play the scenario from beginning to end, then stop every process.

        With `consoles`, each side has one for a browser, and nothing is stopped before this task is cancelled.
        Raises UserError if the scenario cannot be played.
        """
        try:
            await self._up()
            if consoles:
                await self._open_consoles()
            async with self._officers:
                pacing = self._officers.create_task(self._pace())
                for index, step in enumerate(self._scenario.steps):
                    await self._until(step.instant)
                    await self._step(index, step)
                await pacing
                await self._settled()
            if consoles:
                await self._hold()
        except ExceptionGroup as group:
            # the failure of one task ends the play and cancels the others
            raise group.exceptions[0] from None
        finally:
            await self.stage.stop()

    # --- time -----------------------------------------------------------------------------------------------------

    async def _up(self) -> None:
        """Start all processes while the exercise clock stands still."""
        self.stage.broker.start()
        for name in self.stage.names:
            await self.stage.start(name)
        async with asyncio.timeout(UP_WITHIN_S):
            while not self.stage.expected <= self.stage.connected:
                self.stage.check()
                await asyncio.sleep(_LOOK_AGAIN_S)

    async def _open_consoles(self) -> None:
        for side, port in zip(self.stage.sides, CONSOLE_PORTS, strict=True):
            await self.stage.open_console(side, port)
        self._say_consoles()

    async def _hold(self) -> None:
        """Keep everything running until this task is cancelled. Raises UserError if a process ends."""
        self._narrator.held()
        self._say_consoles()
        while True:
            self.stage.check()
            await asyncio.sleep(_LOOK_AGAIN_S)

    def _say_consoles(self) -> None:
        for side, address in self.stage.consoles.items():
            officer = self._scenario.duty_officer(side)
            self._narrator.console_of(side, address, officer, self.stage.credential(side, officer))

    async def _until(self, at: Millis) -> None:
        while self._clock.now()[0] < at:
            self.stage.check()
            await self._clock.wait_until(at, None)

    async def _pace(self) -> None:
        """Set the planned rates: lower ones are written in advance, higher ones only when the stage has settled."""
        ends = parsed(self._scenario.ends)
        place = 0
        while place < len(self._paces):
            await self._until(self._paces[place].start)
            if place:
                await self._settled()
            now = self._clock.now()[0]
            # a long wait may have reached into later paces
            while place + 1 < len(self._paces) and self._paces[place + 1].start <= now:
                place += 1
            self._run(self._paces[place].rate)
            place += 1
            while place < len(self._paces) and self._paces[place].rate < self._paces[place - 1].rate:
                self._run(self._paces[place].rate, self._paces[place].start)
                place += 1
        await self._until(ends)

    def _run(self, rate: int, at: Millis | None = None) -> None:
        """Set the rate of the exercise clock from now on, or from the exercise instant `at` on."""
        real = self._real.real_ms() if at is None else self._table.real_at(at)
        assert real is not None, "time stands still only before the first pace"
        self._table = self._table.then(real, rate)
        self._table.write(self._table_path)

    async def _settled(self) -> None:
        """Wait until every process is connected, a killed one is known to be gone, and no officer is about to act."""
        since = waited = 0.0
        while since < SETTLED_FOR_S and waited < SETTLE_WITHIN_S:
            self.stage.check()
            await asyncio.sleep(_LOOK_AGAIN_S)
            waited += _LOOK_AGAIN_S
            there = not self.stage.broker.alive or (
                self.stage.expected <= self.stage.connected and not self.stage.unnoticed
            )
            since = since + _LOOK_AGAIN_S if there and not self._acting else 0.0

    # --- steps ----------------------------------------------------------------------------------------------------

    async def _step(self, index: int, step: Step) -> None:
        stage = self.stage
        self._narrator.step(step)
        match step:
            case AlertStep():
                self._references[index] = asyncio.get_running_loop().create_future()
                self._begin(self._alert(index, step))
            case Acknowledge() | Refuse():
                self._begin(self._reply(step))
            case Crash():
                await stage.kill(step.side)
            case Restart():
                await stage.start(step.side)
            case Stop():
                stage.broker.stop()
            case Start():
                stage.broker.start()
            case LeaveUnanswered() | Nothing():
                pass

    async def _alert(self, index: int, step: AlertStep) -> None:
        area = {} if step.area is UNSET else {"area": to_builtins(step.area)}
        reference = await self._act(
            step.side,
            step.officers[0],
            "alert",
            {
                "category": step.category,
                "precedence": step.precedence,
                "text": step.text,
                "expires_in_s": parse_s(step.expires_after),
                **area,
            },
        )
        if reference.startswith("draft/"):
            await self._until(self._clock.now()[0] + RELEASED_AFTER)
            draft = int(reference.removeprefix("draft/"))
            reference = await self._act(step.side, step.officers[1], "release", {"draft": draft})
        self._references[index].set_result(reference)

    async def _reply(self, step: Acknowledge | Refuse) -> None:
        text = {} if step.text is UNSET else {"text": step.text}
        ask: dict[str, Any]
        if isinstance(step, Acknowledge):
            action, ask = "acknowledge", {"decision": step.decision}
        else:
            referral = {} if step.referral is UNSET else {"referral": step.referral}
            action, ask = "refuse", {"reason": step.reason, **referral}
        of = self._scenario.alert_of(step)
        async with asyncio.timeout(ACT_WITHIN_S):
            reference = await self._references[of]
        await self._act(step.side, step.officer, action, {"of": reference, **ask, **text})

    # --- officers -------------------------------------------------------------------------------------------------

    def _hear(self, record: Record) -> None:
        """Print a record of a process; pass line tests to the answering side's officer, and slots to the caller's."""
        self._narrator.record(record)
        if record.side == self._scenario.link.caller.id:
            for effect in record.effects:
                if isinstance(effect, Notify) and effect.kind == "slot" and effect.slot:
                    self._hear_slot(effect.slot, record.entry.at)
        if record.side != self._scenario.link.answering.id:
            return
        for effect in record.effects:
            if isinstance(effect, Notify) and effect.kind == "message" and effect.body:
                body = read_body(effect.body)
                if isinstance(body, Heartbeat):
                    self._hear_test(str(effect.reference), body, record.entry.at)

    def _hear_slot(self, slot: str, at: Millis) -> None:
        """Schedule the test of a slot that an officer has to place; ignore reminders and repetitions."""
        if slot not in self._slots:
            self._slots.add(slot)
            self._begin(self._place(at + parse_s(self._scenario.line_test.placed_after) * 1_000))

    async def _place(self, at: Millis) -> None:
        await self._until(at)
        side = self._scenario.link.caller.id
        await self._act(side, self._scenario.duty_officer(side), "test", {})

    def _hear_test(self, reference: str, test: Heartbeat, at: Millis) -> None:
        """Schedule the answer to a line test; ignore repetitions, which a restarted endpoint causes."""
        if reference in self._tests or test.slot in self._scenario.left_unanswered():
            return
        self._tests.add(reference)
        self._begin(self._answer(reference, test, at + parse_s(self._scenario.line_test.answer_after) * 1_000))

    async def _answer(self, reference: str, test: Heartbeat, at: Millis) -> None:
        await self._until(at)
        side = self._scenario.link.answering.id
        words = list(test.challenge)
        await self._act(side, self._scenario.duty_officer(side), "answer", {"of": reference, "words": words})

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._officers.create_task(work)
        self._acting.add(task)
        task.add_done_callback(self._acting.discard)

    async def _act(self, side: str, officer: str, action: str, ask: dict[str, Any]) -> str:
        """Send an officer's request, repeating it under one id until their endpoint is reachable and accepts it.

        Raises UserError if it is refused for good, or not accepted within `ACT_WITHIN_S`.
        """
        request = secrets.token_hex(8)
        deadline = self._real.real_ms() + ACT_WITHIN_S * 1_000
        while True:
            try:
                return await asyncio.to_thread(self.stage.act, side, officer, action, {"request": request, **ask})
            except (Unreachable, RequestRefused) as error:
                early = isinstance(error, Unreachable) or error.code in _TOO_EARLY
                if not early or self._real.real_ms() > deadline:
                    what = phrase(
                        '"{action}": {officer} of {side} cannot do this: {why}',
                        action=action,
                        officer=officer,
                        side=side,
                        why=error,
                    )
                    raise UserError(what, exit_code=1) from error
            await asyncio.sleep(_LOOK_AGAIN_S * 4)
