"""Runs Mosquitto in the foreground: restarts it when it dies, or for new files, and stops it with this process."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import IO, Protocol, Self

from broker.changes import LOOK_EVERY_S
from broker.errors import BrokerError
from broker.local import ClockMs, LocalBroker
from broker.supervisor import READY, STOPPING, Supervisor

_BACK_OFF_S = (0.5, 30.0)
"""Pause before a restart: doubled each time, and reset after `_STABLE_S`."""
_STABLE_S = 60.0
_DOWN_S = 2.0
"""Between stop and start for new files: clients must fail to connect once. Mosquitto 2.0 closes a connection that
another client takes over in the same way, and three of those raise an alarm (SPEC Q3.3)."""
_POLLS_OF_A_LOOK = 20


class Note(Protocol):
    """Takes what happens to the broker, for its log."""

    def __call__(self, event: str, /, **fields: str | int) -> None:
        """Log `event` with its fields."""


def run(
    folder: Path,
    clock_ms: ClockMs,
    note: Note,
    log: IO[bytes] | int | None = None,
    supervisor: Supervisor | None = None,
) -> None:
    """Run Mosquitto in the foreground until SIGINT, SIGTERM or SIGHUP, and restart it when it dies.

    Mosquitto takes over files that are replaced meanwhile: see `broker.changes`. Call it in the main thread.

    Args:
        folder: the broker's folder with `mosquitto.conf`.
        clock_ms: measures how long Mosquitto lives between restarts.
        note: takes what happens: listening, ended, not started, files taken over or not, stopping, stopped.
        log: takes Mosquitto's log; standard error if None.
        supervisor: what has started this process, and expects signs of life; as the environment says if None.

    Raises BrokerError if the first start fails.
    """
    broker = LocalBroker(folder, clock_ms, log)
    supervisor = supervisor or Supervisor()
    with _StopSignals() as signals:
        try:
            broker.start(signals.check)
            pause = _BACK_OFF_S[0]
            while True:
                note("listening", address=broker.address, port=broker.port, process=broker.pid or 0)
                supervisor.tell(READY)
                started_ms = clock_ms()
                code = _served(broker, note, lambda: supervisor.alive(clock_ms()), signals)
                lived_ms = clock_ms() - started_ms
                if code is None:
                    pause = _BACK_OFF_S[0]
                else:
                    pause = _BACK_OFF_S[0] if lived_ms >= _STABLE_S * 1_000 else min(pause * 2, _BACK_OFF_S[1])
                    note("Mosquitto ended", code=code, again_in_s=f"{pause:.1f}")
                    signals.sleep(pause)
                while True:
                    try:
                        broker.start(signals.check)
                        break
                    except BrokerError as error:
                        pause = min(pause * 2, _BACK_OFF_S[1])
                        note("Mosquitto did not start", why=str(error), again_in_s=f"{pause:.1f}")
                        signals.sleep(pause)
        except KeyboardInterrupt:
            note("stopping")
            supervisor.tell(STOPPING)
            broker.stop()
            note("stopped")
        finally:
            broker.stop()


class _StopSignals:
    """Has SIGINT, SIGTERM and SIGHUP raise KeyboardInterrupt, but in `check` and `sleep` alone; not if it is ignored.

    Anywhere else it could leave a lock of `subprocess` taken, and then nobody notices that Mosquitto has ended.
    """

    def __init__(self) -> None:
        self._asked = False
        self._sleeping = False
        self._before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}

    def __enter__(self) -> Self:
        for number, handler in self._before.items():
            # as `nohup` has it
            if handler is not signal.SIG_IGN:
                signal.signal(number, self._take)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def check(self) -> None:
        """Raise KeyboardInterrupt if a signal has come."""
        if self._asked:
            raise KeyboardInterrupt

    def sleep(self, for_s: float) -> None:
        """Wait; raise KeyboardInterrupt once a signal has come."""
        self._sleeping = True
        try:
            self.check()
            time.sleep(for_s)
        finally:
            self._sleeping = False

    def _take(self, _signal: int, _frame: FrameType | None) -> None:
        self._asked = True
        if self._sleeping:
            raise KeyboardInterrupt


def _served(broker: LocalBroker, note: Note, alive: Callable[[], None], signals: _StopSignals) -> int | None:
    """Wait until Mosquitto ends; return its exit code, or None once it was stopped because its files were replaced.

    `alive` is called at every look at the files.
    """
    while True:
        for _ in range(_POLLS_OF_A_LOOK):
            if (code := broker.ended()) is not None:
                return code
            signals.sleep(LOOK_EVERY_S / _POLLS_OF_A_LOOK)
        alive()
        try:
            if broker.changes.look():
                note("Mosquitto is started again for its new files")
                broker.stop()
                signals.sleep(_DOWN_S)
                return None
        except BrokerError as error:
            note("new files cannot be used: Mosquitto goes on with the old ones", why=str(error))
