"""Bounds the time of a probe of the network."""

from __future__ import annotations

import threading
from collections.abc import Callable


def within(seconds: float, probe: Callable[[], str], late: str) -> str:
    """Return what `probe` returns, or `late` if it takes longer, as name look-up may.

    It runs in a thread, which is left behind then and ends with the process.
    """
    said: list[str] = []
    thread = threading.Thread(target=lambda: said.append(probe()), name="probe", daemon=True)
    thread.start()
    thread.join(seconds)
    return said[0] if said else late
