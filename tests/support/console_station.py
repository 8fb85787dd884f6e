"""Runs the whole link as real processes, with a console for each side: see `station`."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

from tests.support.broker_site import free_port
from tests.support.station import ALL, LINK, SIDES, Running, Station


class ConsoleStation(Station):
    """A station, and for each side a console, which knows the independent watch too."""

    def __init__(self, folder: Path, **arguments: Any) -> None:
        super().__init__(folder, **arguments)
        self.ports = {side: free_port() for side in SIDES}

    def origin(self, side: str) -> str:
        """Return the one origin at which the console of a side serves."""
        return f"http://localhost:{self.ports[side]}"

    def screen(self, side: str, name: str = "board", rest: str = "", link: str = LINK) -> str:
        """Return the address of a screen."""
        return f"{self.origin(side)}/links/{link}/{name}" + (f"/{rest}" if rest else "")

    def start_all(self) -> None:
        """Start the broker, the watch, both endpoints and both consoles; return when all are connected and serve."""
        # the watch greets nobody: it must be there when the endpoints arrive, or hears them only at their next beat
        self.start(*reversed(ALL))
        for side in SIDES:
            self.open_console(side)

    def place(self, side: str) -> dict[str, str]:
        """Return the variables that say where the console of a side serves."""
        return {
            "DECONFLICT_CONSOLE_LISTEN": f"localhost:{self.ports[side]}",
            "DECONFLICT_CONSOLE_ORIGIN": self.origin(side),
        }

    def board_link(self, side: str, role: str = "board", *options: str) -> str:
        """Return a one-time link that begins a session."""
        command = ("console", "board-link", str(self.config(side)), "--role", role, *options)
        done = self.deconflict(*command, **self.place(side))
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def end_sessions(self, side: str) -> None:
        """End all sessions of a side's console."""
        done = self.deconflict("console", "end-sessions", str(self.config(side)), **self.place(side))
        assert done.returncode == 0, done.stderr

    def open_console(self, side: str, **how: Any) -> None:
        """Start the console of a side and wait until it serves; `how` is for `Running`."""
        command = ["console", str(self.config(side)), str(self.config("watch"))]
        self.processes[console(side)] = Running(command, self.place(side), **how)
        self.until(lambda: self.serves(side))

    def serves(self, side: str) -> bool:
        """Return whether the console of a side accepts connections; fail if it has ended."""
        process = self.processes[console(side)]
        assert process.alive, f"the console ended with {process.popen.returncode}: {process.errors()}"
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.ports[side])) == 0

    def prove(self) -> None:
        """Place a line test, answer it, and wait until the link is fine everywhere."""
        reference = self.client("eucom").act("test", {})
        self.until(lambda: any(each["reference"] == reference for each in self.snapshot("ndmc")["tests"]))
        words = self.snapshot("ndmc")["tests"][-1]["heartbeat"]["challenge"]
        self.act("ndmc", "duty-1", "answer", of=reference, words=words)
        self.each(ALL, lambda name: bool(self.status(name)["state"] == "fine"))


def console(side: str) -> str:
    """Return the name of a side's console among the processes of a station."""
    return f"console-{side}"
