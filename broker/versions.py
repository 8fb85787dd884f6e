"""Checks that the Mosquitto of this machine can do what its configuration asks of it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from broker.configuration import present_bridges
from broker.errors import BrokerError
from protocol.phrases import phrase

BRIDGES_SINCE = (2, 0, 21)
"""The first version whose bridges do not stop the whole broker."""
_ANSWERS_WITHIN_S = 10.0
_VERSION = re.compile(r"mosquitto version (\d+)\.(\d+)\.(\d+)")


def check_version(program: str, folder: Path) -> None:
    """Raise BrokerError if this Mosquitto must not make the connections of the bridges in `folder/mosquitto.conf`.

    Before 2.0.21 it hangs for good, and with it all its clients, once another broker could not be reached for a while.
    """
    bridges = present_bridges(folder)
    if bridges is None or not bridges.remotes:
        return
    try:
        told = subprocess.run(  # noqa: S603 - Mosquitto
            [program, "-h"], capture_output=True, check=False, text=True, timeout=_ANSWERS_WITHIN_S
        )
    except (OSError, subprocess.TimeoutExpired):
        raise BrokerError(
            phrase("{program}: does not say its version (-h); install it again, with its libraries", program=program)
        ) from None
    found = _VERSION.search(told.stdout)
    if found is not None and tuple(map(int, found.groups())) < BRIDGES_SINCE:
        raise BrokerError(
            phrase(
                "{program}: Mosquitto {version} hangs while the other broker of a bridge cannot be reached; install "
                "{wanted} or later, or have the other broker make the connection",
                program=program,
                version=".".join(found.groups()),
                wanted=".".join(map(str, BRIDGES_SINCE)),
            )
        )
