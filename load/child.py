"""Child processes of the load test: they end with it, however it ends, and talk to it over a socket."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import broker
from endpoints.errors import UserError
from load.channel import Answer, ChannelMessage, ChildChannel, Failed, Progress, Receipted, Serving
from load.driver import Told
from protocol.phrases import phrase, rephrased

START_WITHIN_S = 60.0
"""From the start of a child until it serves, on a machine that may be busy."""
STOP_WITHIN_S = 15.0
"""Time for a child to end after SIGTERM: an endpoint disconnects and closes its journal."""
ANSWER_WITHIN_S = 60.0
"""Time for a child to acknowledge the alerts of a slice, or to send what it has timed."""
_LAUNCH = Path(broker.__file__).with_name("launch.py")
_ERRORS_MAX_BYTES = 2_000

T = TypeVar("T")


class Child:
    """One child with its channel. `start` makes one; `stop` leaves no process behind."""

    def __init__(self, name: str, process: Process, channel: ChildChannel, errors: Path) -> None:
        self.name = name
        self._process = process
        self._channel = channel
        self._errors = errors
        self._serving: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._answer: asyncio.Future[Answer] | None = None
        self._told: Told | None = None
        self._receipted: Callable[[Receipted], None] | None = None
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, name: str, module: str, arguments: list[str], errors: Path) -> Child:
        """Start `python -m module arguments DESCRIPTOR`; its standard error is collected in the file `errors`."""
        ours, theirs = socket.socketpair()
        with theirs, errors.open("ab") as collected:
            process = await asyncio.create_subprocess_exec(
                # the launcher ends the process when this one ends, however it ends
                *(sys.executable, "-I", "-S", str(_LAUNCH), str(os.getpid())),
                *(sys.executable, "-m", module, *arguments, str(theirs.fileno())),
                stdin=DEVNULL,
                stdout=DEVNULL,
                stderr=collected,
                pass_fds=[theirs.fileno()],
                # Ctrl-C goes only to the load test, which then stops everything in order
                start_new_session=True,
            )
        return cls(name, process, await ChildChannel.over(ours), errors)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    async def serving(self) -> None:
        """Wait until the child serves. Raises UserError if it does not."""
        try:
            await asyncio.wait_for(self.unless_ended(self._wait(self._serving)), START_WITHIN_S)
        except TimeoutError:
            raise UserError(
                phrase("{name}: not ready within {seconds} s", name=self.name, seconds=round(START_WITHIN_S)),
                exit_code=1,
            ) from None

    async def ask(
        self, message: ChannelMessage, told: Told | None = None, within_s: float | None = ANSWER_WITHIN_S
    ) -> Answer:
        """Send a message and return its answer; `told` takes the progress meanwhile.

        Raises UserError if the child reports an error, ends, or does not answer in time.
        """
        self._told = told
        self._answer = asyncio.get_running_loop().create_future()
        self._channel.send(message)
        try:
            answer = await asyncio.wait_for(self.unless_ended(self._wait(self._answer)), within_s)
        except TimeoutError:
            hangs = phrase("{socket}: no answer in time; the process or its disk hangs", socket=self.name)
            raise UserError(hangs, exit_code=1) from None
        if isinstance(answer, Failed):
            raise UserError(rephrased(answer.text, answer.said), exit_code=1)
        return answer

    def tell(self, message: ChannelMessage) -> None:
        """Send a message that has no answer."""
        self._channel.send(message)

    def hear_receipts(self, receipted: Callable[[Receipted], None] | None) -> None:
        """Pass receipts on from now on, or no more."""
        self._receipted = receipted

    async def unless_ended(self, work: Coroutine[Any, Any, T]) -> T:
        """Return what `work` returns. Raises UserError if the child ends before."""
        task = asyncio.create_task(work)
        done, _ = await asyncio.wait({task, self._reading}, return_when=asyncio.FIRST_COMPLETED)
        if task in done:
            return task.result()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        code = await self._process.wait()
        raise UserError(
            phrase("{name} ended with {code}: {why}", name=self.name, code=code, why=self._why()), exit_code=1
        )

    async def stop(self) -> None:
        """Stop the process in order, or kill it after a while. May be called again."""
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGTERM)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), STOP_WITHIN_S)
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        self._channel.close()
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)

    async def _read(self) -> None:
        while (answer := await self._channel.answer()) is not None:
            match answer:
                case Receipted():
                    if self._receipted is not None:
                        self._receipted(answer)
                case Progress():
                    if self._told is not None:
                        self._told(answer.done)
                case Serving():
                    self._serving.set_result(None)
                case _:
                    if self._answer is not None and not self._answer.done():
                        self._answer.set_result(answer)

    @staticmethod
    async def _wait(future: asyncio.Future[T]) -> T:
        return await future

    def _why(self) -> str:
        """Return the last line of the child's standard error."""
        said = self._errors.read_bytes()[-_ERRORS_MAX_BYTES:].decode(errors="replace").strip()
        return said.rpartition("\n")[2] or phrase("it said nothing")
