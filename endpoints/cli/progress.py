"""Shows on a terminal how far a long command has come; elsewhere, and within the first second, it shows nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from endpoints.cli.output import console

_SHOWN_AFTER_MS: Final = 1_000


@contextmanager
def progress(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """Provide a function that takes how much of `total` was done since its last call.

    What is shown stands on standard error, and is gone at the end.
    """
    out = console(stderr=True)
    if not out.is_terminal:
        yield lambda _done: None
        return
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    from endpoints.clocks.clock import SystemClock

    clock = SystemClock()
    began_ms, done = clock.real_ms(), 0
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=out,
        transient=True,
    )
    task = bar.add_task(title, total=max(total, 1))

    def advance(by: int) -> None:
        nonlocal done
        done += by
        bar.update(task, completed=min(done, total))
        if not bar.live.is_started and clock.real_ms() - began_ms >= _SHOWN_AFTER_MS:
            bar.start()

    try:
        yield advance
    finally:
        bar.stop()
