"""`deconflict broker`: runs Mosquitto in the foreground on the files that `init` wrote."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from threading import Lock, Thread
from typing import IO, TYPE_CHECKING, Annotated

from cyclopts import Parameter

from endpoints.cli import options
from endpoints.cli.run import for_people
from endpoints.errors import UserError
from protocol.phrases import worded

if TYPE_CHECKING:
    from endpoints.clocks.clock import Clock
    from endpoints.journal.stdout_feed import Wording

_SIDE = "broker"
_LINE_MAX = 4_096

InstallationFolder = Annotated[Path, Parameter(help="The folder that `deconflict init` made.", negative="")]


def broker(folder: InstallationFolder, /, *, log: options.LogFormat = None, lang: options.Lang = None) -> None:
    """Run Mosquitto on the files of `init` until SIGTERM or Ctrl-C, and restart it when it dies."""
    from broker import local
    from broker.errors import BrokerError
    from endpoints.cli.terminal_log import TerminalLog
    from endpoints.clocks.clock import SystemClock
    from endpoints.texts.i18n import translator

    clock = SystemClock()
    lines = _BrokerLog(clock, TerminalLog(translator(lang), _SIDE, {}) if for_people(log) else None)
    ours, theirs = os.pipe()
    reader = Thread(target=lines.copy, args=(os.fdopen(ours, "rb"),), daemon=True)
    reader.start()
    try:
        local.run(folder / "broker", clock.real_ms, lines.note, theirs)
    except BrokerError as error:
        raise UserError(worded(error)) from None
    finally:
        os.close(theirs)
        reader.join()


class _BrokerLog:
    """Prints what happens to the broker, and Mosquitto's own log, with the time: JSON or lines for people."""

    def __init__(self, clock: Clock, wording: Wording | None) -> None:
        self._clock = clock
        self._wording = wording
        self._lock = Lock()

    def note(self, event: str, /, **fields: str | int) -> None:
        """Print one event."""
        import msgspec

        from protocol.wire.instants import written

        with self._lock:
            line = {"at": written(self._clock.now()[0]), "level": "info", "side": _SIDE, "event": event, **fields}
            data = msgspec.json.encode(line)
            sys.stdout.buffer.write(data + b"\n" if self._wording is None else self._wording.line(data))
            sys.stdout.flush()

    def copy(self, mosquitto: IO[bytes]) -> None:
        """Print the log that Mosquitto writes, without its time. Its lines may hold names that clients chose."""
        with mosquitto:
            while line := mosquitto.readline(_LINE_MAX):
                try:
                    self.note("mosquitto", text=line.decode(errors="replace").strip().partition(": ")[2])
                except OSError:
                    # nobody reads any more: take the rest all the same, so that Mosquitto is not held up
                    continue
