"""The screens of the console, in the order of its menu."""

from __future__ import annotations

from endpoints.console.screen import Screen
from endpoints.console.screens import (
    alarms,
    board,
    channels,
    compose,
    drafts,
    history,
    investigate,
    line_test,
    messages,
    replay,
    settings,
    watch,
)

SCREENS: tuple[Screen, ...] = (
    board.SCREEN,
    messages.SCREEN,
    compose.SCREEN,
    drafts.SCREEN,
    line_test.SCREEN,
    alarms.SCREEN,
    watch.SCREEN,
    history.SCREEN,
    replay.SCREEN,
    channels.SCREEN,
    investigate.SCREEN,
    settings.SCREEN,
)
