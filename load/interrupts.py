"""Ends a run in order at Ctrl-C or another signal that stops a process; the second one gives it up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from endpoints.process import stop_signals


class Interrupts:
    """The signals of one run, from its construction inside the run's task on."""

    def __init__(self, stopping: Callable[[], None]) -> None:
        """Catch the signals; `stopping` is called when the run begins to end in order."""
        self.happened = False
        self._stopping = stopping
        self._end: Callable[[], None] | None = None
        self._task = asyncio.current_task()
        for number in stop_signals():
            asyncio.get_running_loop().add_signal_handler(number, self._interrupt)

    def end_with(self, end: Callable[[], None]) -> None:
        """From now on call `end` at a signal. Before that, a signal cancels the run: nothing is measured yet."""
        self._end = end

    def _interrupt(self) -> None:
        if self._end is None or self.happened:
            assert self._task is not None, "constructed inside a task"
            self._task.cancel()
            return
        self.happened = True
        self._stopping()
        self._end()
