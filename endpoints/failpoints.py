"""Named places where a test may end the process, as a crash or a power cut would.

Armed only by the environment: `DECONFLICT_FAILPOINT=after_append` ends the process the first time that it comes by,
`after_append:3` the third time. Unarmed, a failpoint costs one comparison.
"""

from __future__ import annotations

import os
from typing import Literal, get_args

from endpoints.errors import UserError

VARIABLE = "DECONFLICT_FAILPOINT"
EXIT_CODE = 86
"""What an armed failpoint exits with: no other part of the link does."""

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
    def __init__(self, text: str) -> None:
        place, _, count = text.partition(":")
        if text and place not in PLACES:
            raise UserError(f"{VARIABLE}: no such place: {place[:60]!r}; one of {', '.join(PLACES)}")
        if not (count.isdecimal() or not count):
            raise UserError(f"{VARIABLE}: after the colon stands a number: {text[:60]!r}")
        self.place = place
        self.left = int(count or 1)


_armed = _Armed("")


def arm(text: str) -> None:
    """Arm the place that `text` names, or none if it is empty. Raises UserError if there is no such place."""
    global _armed  # noqa: PLW0603 - one process, one armed place
    _armed = _Armed(text)


def failpoint(place: Place) -> None:
    """End the process here, without any clean-up, if this place is the armed one."""
    if _armed.place != place:
        return
    _armed.left -= 1
    if _armed.left <= 0:
        os._exit(EXIT_CODE)
