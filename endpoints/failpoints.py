"""Failpoints: named places where a test can end the process as a crash or a power cut would.

Only the environment arms them: `DECONFLICT_FAILPOINT=after_append` ends the process the first time that it reaches the
place, `after_append:3` the third time. An unarmed failpoint costs one comparison.
"""

from __future__ import annotations

import os
from typing import Literal, get_args

from endpoints.errors import UserError
from protocol.phrases import phrase

VARIABLE = "DECONFLICT_FAILPOINT"
EXIT_CODE = 86
"""The exit code of an armed failpoint; no other part of the link uses it."""

Place = Literal[
    # start and stop
    "after_lock",
    "before_started",
    "after_started",
    "before_stopped",
    "after_stopped",
    "after_closed",
    # a turn of the loop, in its order
    "after_drain",
    "after_frame",
    "after_request",
    "after_deadline",
    "before_unsealed",
    "after_sign",
    "before_append",
    "before_flush",
    "after_append",
    "before_publish",
    "after_publish",
    "before_resend",
    "after_resend",
    "after_perform",
    "before_puback",
    "after_puback",
    "before_answer",
    "after_answer",
    # beside the loop
    "before_rotate",
    "before_named",
    "after_named",
    "after_rotate",
    "before_notify",
    "after_notify",
    "after_connected",
    "after_lost",
    "after_accepted",
]
PLACES: tuple[str, ...] = get_args(Place)
"""Every place, in the order of the comments above."""


class _Armed:
    """The place where the process ends, and after how many visits."""

    def __init__(self, text: str) -> None:
        place, _, count = text.partition(":")
        if text and place not in PLACES:
            raise UserError(
                phrase(
                    "{variable}: no failpoint {place}; name one of {places}",
                    variable=VARIABLE,
                    place=repr(place[:60]),
                    places=", ".join(PLACES),
                )
            )
        if not (count.isdecimal() or not count):
            raise UserError(
                phrase(
                    "{variable}: not a number after the colon, as in after_append:3: {text}",
                    variable=VARIABLE,
                    text=repr(text[:60]),
                )
            )
        self._place = place
        self._left = int(count or 1)

    def reach(self, place: Place) -> None:
        """End the process if `place` is the armed one and was reached often enough."""
        if self._place != place:
            return
        self._left -= 1
        if self._left <= 0:
            os._exit(EXIT_CODE)


_armed = _Armed("")


def arm(text: str) -> None:
    """Arm the place that `text` names, or none if it is empty. Raises UserError if it does not exist."""
    global _armed  # noqa: PLW0603 - one process, one armed place
    _armed = _Armed(text)


def failpoint(place: Place) -> None:
    """End the process here without any clean-up, if this place is armed."""
    _armed.reach(place)
