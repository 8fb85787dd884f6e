"""Mosquitto as a child process: started, awaited until it is ready, and always stopped."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Self

from broker.changes import FileChanges
from broker.errors import BrokerError
from broker.owner import hand_over
from broker.versions import check_version
from protocol.phrases import phrase

START_WITHIN_S = 10.0
"""From the start of the process until it is ready: it may have to read a large queue from disk."""
STOP_WITHIN_S = 10.0
"""From SIGTERM to the end: it may have to save a large queue. SIGKILL follows."""
_POLL_S = 0.02
_TERM_EVERY_S = 0.2
_SETTLED_S = 1.0
_STDERR = 2
_LAUNCH = Path(__file__).with_name("launch.py")

ClockMs = Callable[[], int]
"""Reads a monotonic clock, in milliseconds."""


def find() -> str:
    """Return Mosquitto's path. Raises BrokerError, which says what to install, if Mosquitto is missing."""
    # Debian installs it into /usr/sbin, which is not on an ordinary user's PATH
    found = shutil.which(
        "mosquitto", path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))
    )
    if found is None:
        raise BrokerError(phrase("mosquitto: not found; install it: apt-get install mosquitto (Debian, Ubuntu)"))
    return str(Path(found).absolute())


class LocalBroker:
    """Mosquitto on the files of `broker.configuration`, as a child of this process.

    If root starts it, it runs as the owner of its folder: see `broker.owner`. The kernel kills it when the thread that
    started it ends (Linux: PR_SET_PDEATHSIG), so start it from the main thread. As a context manager it starts on entry
    and stops on exit. `start` and `stop` block, normally for milliseconds.
    """

    def __init__(self, folder: Path, clock_ms: ClockMs, log: IO[bytes] | int | None = None) -> None:
        """Prepare Mosquitto on the files in `folder`.

        Args:
            folder: the broker's folder with `mosquitto.conf`.
            clock_ms: measures how long it takes to start and stop.
            log: takes Mosquitto's log; standard error if None.

        Raises BrokerError if `mosquitto.conf` is missing or has no listener.
        """
        self.folder = folder
        self._clock_ms = clock_ms
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self.address, self.port = _listener(folder / "mosquitto.conf")
        self.changes = FileChanges(folder)

    @property
    def pid(self) -> int | None:
        """The process id, or None if it does not run."""
        return None if self._process is None else self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    def start(self, check: Callable[[], None] = lambda: None) -> None:
        """Start Mosquitto and return when it is ready.

        `check` is called while it waits. Raises what `check` raises, and BrokerError if Mosquitto ends first or is not
        ready within START_WITHIN_S; no process is left running.
        """
        if self.alive:
            return
        self.address, self.port = _listener(self.folder / "mosquitto.conf")
        # before Mosquitto reads them, so that no change is missed
        self.changes = FileChanges(self.folder)
        if _taken(self.address, self.port):
            raise BrokerError(
                phrase(
                    "{address}:{port}: another program listens there already; stop it or change the port",
                    address=self.address,
                    port=self.port,
                )
            )
        program = find()
        check_version(program, self.folder)
        owner = hand_over(self.folder)
        user = () if owner is None else (f"--user={owner.user}:{owner.group}",)
        log = _STDERR if self._log is None else self._log
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices:
            # the kernel chooses an abstract name, outside the file system
            notices.bind("")
            name: bytes = notices.getsockname()
            self._process = subprocess.Popen(  # noqa: S603 - our own files
                [sys.executable, "-I", "-S", str(_LAUNCH), *user, str(os.getpid()), program, "-c", "mosquitto.conf"],
                # its paths are relative: so its user needs no right to pass the folders above
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "NOTIFY_SOCKET": "@" + name[1:].decode("ascii")},
                # Ctrl-C must reach this process only, which then stops Mosquitto cleanly
                start_new_session=True,
            )
            try:
                self._wait_until_ready(notices, check)
            except BaseException:
                self.kill()
                raise

    def _wait_until_ready(self, notices: socket.socket, check: Callable[[], None]) -> None:
        """Wait for `READY=1` (sd_notify). A build without systemd counts as ready once it has listened for a second.

        Listening alone is not enough: Mosquitto 2.0 listens before it reads its certificates.
        """
        assert self._process is not None
        began_ms = self._clock_ms()
        listens_since_ms: int | None = None
        notices.settimeout(_POLL_S)
        while True:
            check()
            try:
                if b"READY=1" in notices.recv(4_096):
                    return
            except TimeoutError:
                pass
            code = self._process.poll()
            if code is not None:
                raise BrokerError(
                    phrase(
                        "mosquitto: ended with code {code} before it was ready at {address}:{port}; see its log",
                        code=code,
                        address=self.address,
                        port=self.port,
                    )
                )
            now_ms = self._clock_ms()
            if listens_since_ms is None and _taken(self.address, self.port):
                listens_since_ms = now_ms
            if listens_since_ms is not None and now_ms - listens_since_ms > _SETTLED_S * 1_000:
                return
            if now_ms - began_ms > START_WITHIN_S * 1_000:
                raise BrokerError(
                    phrase(
                        "mosquitto: not ready at {address}:{port} after {limit} s; see its log",
                        address=self.address,
                        port=self.port,
                        limit=f"{START_WITHIN_S:.0f}",
                    )
                )

    def stop(self) -> None:
        """Stop it cleanly, so that it saves sessions and queues. Kills it if it takes longer than STOP_WITHIN_S."""
        if self._process is None:
            return
        deadline_ms = self._clock_ms() + STOP_WITHIN_S * 1_000
        while self._process.poll() is None:
            if self._clock_ms() > deadline_ms:
                self._process.kill()
            else:
                # repeated: Mosquitto loses a SIGTERM that arrives right after its READY
                self._process.terminate()
                # a process stopped by SIGSTOP receives it only after SIGCONT
                self._process.send_signal(signal.SIGCONT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_TERM_EVERY_S)
        self._process = None

    def kill(self) -> None:
        """Kill it; whatever it had not saved is lost."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def ended(self) -> int | None:
        """Return the exit code if the process has ended by itself, None while it runs.

        Raises BrokerError if it was not started.
        """
        if self._process is None:
            raise BrokerError(phrase("mosquitto: not running"))
        code = self._process.poll()
        if code is not None:
            self._process = None
        return code

    def freeze(self) -> None:
        """Suspend it (SIGSTOP): connections stay open but carry nothing."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Resume it (SIGCONT)."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def save(self) -> None:
        """Have it save sessions and queues now (SIGUSR1), as its autosave would; it does not report completion."""
        if self._process is not None:
            self._process.send_signal(signal.SIGUSR1)

    def wipe(self) -> None:
        """Delete the saved sessions and queues. Raises BrokerError while it runs."""
        if self.alive:
            raise BrokerError(phrase("mosquitto: its data cannot be wiped while it runs; stop it first"))
        for path in (self.folder / "data").iterdir():
            path.unlink()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _listener(path: Path) -> tuple[str, int]:
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        missing = phrase("No such file or directory") if isinstance(error, FileNotFoundError) else None
        reason = missing or (error.strerror if isinstance(error, OSError) else phrase("not text"))
        home = path.parent.parent
        for above in home.parents:
            # the broker's own folder was given, or a file of the installation
            if (above / path.parent.name / path.name).is_file():
                raise BrokerError(
                    phrase(
                        "{folder}: not the folder that `deconflict init` made; did you mean: {command}",
                        folder=home,
                        command=shlex.join(["deconflict", "broker", str(above)]),
                    )
                ) from None
        raise BrokerError(
            phrase(
                "{path}: cannot be read: {reason}; make it from the link files: {command}",
                path=path,
                reason=reason,
                command=shlex.join(["deconflict", "broker", str(home), "--configure", "LINK_FILE"]),
            )
        ) from None
    match = re.search(r"^listener (\d+) (\S+)$", text, re.MULTILINE)
    if match is None:
        raise BrokerError(
            phrase("{path}: no line `listener PORT ADDRESS`; `deconflict init` writes this file", path=path)
        )
    return match[2], int(match[1])


def _taken(address: str, port: int) -> bool:
    """Return whether a program listens there. It tries to bind: a connection would leave TLS errors in the log."""
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(where)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return True
        raise BrokerError(
            phrase(
                "{address}:{port}: this machine cannot listen there: {reason}",
                address=address,
                port=port,
                reason=error.strerror,
            )
        ) from None
    return False
