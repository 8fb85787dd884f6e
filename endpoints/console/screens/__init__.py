"""The screens of the console, in the order of its menu."""

from __future__ import annotations

from endpoints.console.screen import Screen
from endpoints.console.screens import board

SCREENS: tuple[Screen, ...] = (board.SCREEN,)
