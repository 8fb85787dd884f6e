"""Stops and kills processes of a station, and lets them go on or starts them again."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.station import Station


@contextmanager
def stopped(station: Station, name: str) -> Iterator[None]:
    """Stop a process with SIGSTOP, as if its machine hung; let it go on afterwards."""
    process = station.processes[name].popen
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


@contextmanager
def killed(station: Station, name: str) -> Iterator[None]:
    """Kill an endpoint with SIGKILL; start it again afterwards."""
    station.kill(name)
    try:
        yield
    finally:
        station.start(name)
