"""Signals changes to any number of waiting streams."""

from __future__ import annotations

import asyncio


class ChangeSignal:
    """Sets an event at each change, and makes the next one."""

    def __init__(self) -> None:
        self.next = asyncio.Event()
        """Set at the next change. Read it before the state, so that no change in between is missed."""

    def send(self) -> None:
        """Report a change."""
        self.next.set()
        self.next = asyncio.Event()
