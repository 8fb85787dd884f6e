"""Starts processes of the program as forks of one that has imported it: most of what a start costs is the imports.

Each is a process of its own, with its own arguments, environment, folder, streams and signals. How a process starts
from nothing is tested by the demo, the guides, the stack and the tests of the command line.
"""

import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
_REQUEST_MAX_BYTES = 1 << 17
_FIRST_OWN_FD, _LAST_FD = 3, 1 << 12
_IMPORTED = (
    *("endpoints.service", "endpoints.watchdog", "endpoints.metrics.reading", "broker.local", "broker.supervisor"),
    *("encodings.idna", "babel.support", "uvicorn.protocols.http.h11_impl", "uvicorn.lifespan.off"),
)
"""What the commands import only when they run."""


class ForkedProcess:
    """A running process, with what the tests use of `subprocess.Popen`."""

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str], streams: Sequence[int]) -> None:
        """Run `deconflict ARGUMENTS` on three descriptors, its standard streams, which the caller closes."""
        self.args = ["deconflict", *arguments]
        self.returncode: int | None = None
        # as an ordinary start would inherit it from here
        ignored = [number for number in signal.valid_signals() if signal.getsignal(number) is signal.SIG_IGN]
        request = json.dumps({"arguments": [*arguments], "environment": {**environment}, "ignored": ignored})
        read, written = os.pipe()
        self._ended = os.fdopen(read, "rb")
        try:
            self.pid = _server().fork(request, [written, *streams])
        finally:
            os.close(written)

    def poll(self) -> int | None:
        """Return the exit code, None while it runs; minus the number of the signal that has ended it."""
        return self._code(0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; return the exit code. Raises subprocess.TimeoutExpired."""
        code = self._code(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return code

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it runs."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """Send it SIGKILL, if it runs."""
        self.send_signal(signal.SIGKILL)

    def _wait_for_end(self, timeout: float | None) -> bool:
        waiting = select.poll()
        waiting.register(self._ended, select.POLLIN)
        return bool(waiting.poll(None if timeout is None else timeout * 1_000))

    def _code(self, timeout: float | None) -> int | None:
        if self.returncode is None and self._wait_for_end(timeout):
            with self._ended:
                self.returncode = int(self._ended.read())
        return self.returncode


class _Server:
    """This end of the connection to the process that forks."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._popen = subprocess.Popen(
                [sys.executable, "-m", "tests.support.fork_server", str(theirs.fileno())],
                cwd=ROOT,
                env=os.environ | {"LC_ALL": "C.UTF-8"},
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )

    def fork(self, request: str, descriptors: Sequence[int]) -> int:
        """Have a process started; return its id. Its exit code is written to the first descriptor."""
        socket.send_fds(self._socket, [request.encode()], descriptors)
        return int(self._socket.recv(64))


_started: list[_Server] = []


def _server() -> _Server:
    """Return the server of this process: it ends when this process does."""
    if not _started:
        _started.append(_Server())
    return _started[0]


# --- the process that forks -------------------------------------------------------------------------------------------


def _serve(asking: socket.socket) -> dict[str, Any] | None:
    """Fork at each request, and report how each process ends; return the request in the fork, None at the end."""
    running: dict[int, tuple[int, int]] = {}
    while True:
        # select() knows no descriptor beyond 1,023, and a test may have left many open
        waiting = select.poll()
        for each in (asking.fileno(), *running):
            waiting.register(each, select.POLLIN)
        ready = [each for each, _ in waiting.poll()]
        for ended in running.keys() & ready:
            pid, report = running.pop(ended)
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            with suppress(BrokenPipeError):
                os.write(report, str(code).encode())
            os.close(report)
            os.close(ended)
        if asking.fileno() in ready:
            data, descriptors, _, _ = socket.recv_fds(asking, _REQUEST_MAX_BYTES, 4)
            if not data:
                return None
            report, *streams = descriptors
            pid = os.fork()
            if not pid:
                for place, descriptor in enumerate(streams):
                    os.dup2(descriptor, place)
                request: dict[str, Any] = json.loads(data)
                return request
            for descriptor in streams:
                os.close(descriptor)
            running[os.pidfd_open(pid)] = pid, report
            asking.send(str(pid).encode())


def _run(request: dict[str, Any]) -> None:
    """Become the process that was asked for: as if it had been started with these arguments."""
    from endpoints.cli.main import main

    os.closerange(_FIRST_OWN_FD, _LAST_FD)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        if number in request["ignored"]:
            signal.signal(number, signal.SIG_IGN)
    os.environ.clear()
    os.environ.update(request["environment"])
    unbuffered = bool(os.environ.get("PYTHONUNBUFFERED"))
    sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stdout.reconfigure(write_through=unbuffered)
    sys.stderr = os.fdopen(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
    sys.stderr.reconfigure(write_through=True)
    sys.argv = ["deconflict", *request["arguments"]]
    main()


def _import_all() -> None:
    from endpoints.cli.commands import COMMANDS

    targets = {command.target.partition(":")[0] for commands in COMMANDS.values() for command in commands}
    for name in (*_IMPORTED, *sorted(targets)):
        importlib.import_module(name)
    gc.collect()
    gc.freeze()


if __name__ == "__main__":
    _import_all()
    with socket.socket(fileno=int(sys.argv[1])) as _asking:
        _wanted = _serve(_asking)
    if _wanted is not None:
        _run(_wanted)
