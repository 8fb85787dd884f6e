"""Mosquitto as a child process: found, started, waited for, restarted, and never left behind."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import IO, Self

from broker.errors import BrokerError

START_WITHIN_S = 10.0
"""From the start of the process to its being ready: a large queue has to be read from disk."""
STOP_WITHIN_S = 10.0
"""From TERM to the end: a large queue has to be saved. KILL comes after."""
_POLL_S = 0.02
_TERM_EVERY_S = 0.2
_SETTLED_S = 1.0
_BACK_OFF_S = (0.5, 30.0)
"""Pause before a restart: doubled each time, back to the first after a minute of life."""
_STABLE_S = 60.0
_STDERR = 2
_LAUNCH = Path(__file__).with_name("launch.py")


def find() -> str:
    """Return Mosquitto's path. Raises BrokerError, saying what to install, if it is not on this machine."""
    # Debian installs it into /usr/sbin, which is not on an ordinary user's PATH
    found = shutil.which(
        "mosquitto", path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))
    )
    if found is None:
        raise BrokerError("mosquitto: not found; install it: apt-get install mosquitto (Debian, Ubuntu)")
    return found


class LocalBroker:
    """Mosquitto on the files of `broker.configuration`, as a child of this process.

    It is killed when the thread that started it ends, however that ends (Linux: PR_SET_PDEATHSIG): start it from the
    main thread. A context manager: started on entry, stopped on exit. `start` and `stop` block, for milliseconds where
    all is well.
    """

    def __init__(self, folder: Path, log: IO[bytes] | int | None = None) -> None:
        """Prepare Mosquitto on `folder`'s files. Its log goes to `log`, or to this process's standard error."""
        self.folder = folder
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self.address, self.port = _listener(folder / "mosquitto.conf")

    @property
    def pid(self) -> int | None:
        """The process, or None if there is none."""
        return None if self._process is None else self._process.pid

    @property
    def alive(self) -> bool:
        """The process is there."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start Mosquitto and return when it is ready.

        Raises BrokerError if it ends before, or does not within START_WITHIN_S; then nothing is left running.
        """
        if self.alive:
            return
        if _taken(self.address, self.port):
            raise BrokerError(
                f"{self.address}:{self.port}: something listens there already; stop it or change the port"
            )
        mosquitto = [find(), "-c", str(self.folder.resolve() / "mosquitto.conf")]
        log = _STDERR if self._log is None else self._log
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices:
            # a name that the kernel chooses, in no file system
            notices.bind("")
            name: bytes = notices.getsockname()
            self._process = subprocess.Popen(  # noqa: S603 - our own files
                [sys.executable, "-I", "-S", str(_LAUNCH), str(os.getpid()), *mosquitto],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "NOTIFY_SOCKET": "@" + name[1:].decode("ascii")},
                # Ctrl-C is for us, who then stop it in order
                start_new_session=True,
            )
            try:
                self._wait_until_ready(notices)
            except BaseException:
                self.kill()
                raise

    def _wait_until_ready(self, notices: socket.socket) -> None:
        """Wait for `READY=1` (sd_notify). A build without systemd counts as ready when it has listened for a while.

        To listen is not enough: Mosquitto 2.0 listens first and reads its certificates then.
        """
        assert self._process is not None
        began = time.monotonic()
        listens_since: float | None = None
        notices.settimeout(_POLL_S)
        while True:
            try:
                if b"READY=1" in notices.recv(4_096):
                    return
            except TimeoutError:
                pass
            code = self._process.poll()
            if code is not None:
                raise BrokerError(
                    f"mosquitto: ended with {code} before it served at {self.address}:{self.port}; its log says why"
                )
            now = time.monotonic()
            if listens_since is None and _taken(self.address, self.port):
                listens_since = now
            if listens_since is not None and now - listens_since > _SETTLED_S:
                return
            if now - began > START_WITHIN_S:
                raise BrokerError(
                    f"mosquitto: does not serve at {self.address}:{self.port} after {START_WITHIN_S:.0f} s"
                )

    def stop(self) -> None:
        """Stop it in order: its sessions and queues are saved. KILL if it takes longer than STOP_WITHIN_S."""
        if self._process is None:
            return
        deadline = time.monotonic() + STOP_WITHIN_S
        while self._process.poll() is None:
            if time.monotonic() > deadline:
                self._process.kill()
            else:
                # again and again: Mosquitto forgets a TERM that comes right after its READY
                self._process.terminate()
                # a stopped process (SIGSTOP) takes it only when it goes on
                self._process.send_signal(signal.SIGCONT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_TERM_EVERY_S)
        self._process = None

    def kill(self) -> None:
        """Kill it: what it had not saved is lost."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def wait(self) -> int:
        """Wait until the process ends by itself; return its exit code."""
        if self._process is None:
            raise BrokerError("mosquitto: not running")
        code = self._process.wait()
        self._process = None
        return code

    def freeze(self) -> None:
        """Let it stand still (SIGSTOP): connections stay open and nothing moves."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on (SIGCONT)."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def save(self) -> None:
        """Make it save sessions and queues now (SIGUSR1), as its autosave would; it says nothing when it is done."""
        if self._process is not None:
            self._process.send_signal(signal.SIGUSR1)

    def wipe(self) -> None:
        """Remove what it has saved. Raises BrokerError while it runs."""
        if self.alive:
            raise BrokerError("mosquitto: its files cannot be wiped while it runs")
        for path in (self.folder / "data").iterdir():
            path.unlink()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def run(folder: Path, say: Callable[[str], None]) -> None:
    """Keep Mosquitto running on `folder` in the foreground until SIGINT or SIGTERM: restarted when it dies.

    Args:
        folder: the broker's folder with `mosquitto.conf`.
        say: takes one line for a person: started, ended, restarting.

    Raises BrokerError if it does not start the first time. To be called in the main thread.
    """
    broker = LocalBroker(folder)
    with _stoppable():
        try:
            broker.start()
            pause = _BACK_OFF_S[0]
            while True:
                say(f"broker: listening at {broker.address}:{broker.port}, process {broker.pid}")
                started = time.monotonic()
                code = broker.wait()
                pause = _BACK_OFF_S[0] if time.monotonic() - started >= _STABLE_S else min(pause * 2, _BACK_OFF_S[1])
                say(f"broker: Mosquitto ended with {code}; started again in {pause:.1f} s")
                while True:
                    time.sleep(pause)
                    try:
                        broker.start()
                        break
                    except BrokerError as error:
                        pause = min(pause * 2, _BACK_OFF_S[1])
                        say(f"broker: {error}; tried again in {pause:.1f} s")
        except KeyboardInterrupt:
            say("broker: stopping")
        finally:
            broker.stop()


@contextlib.contextmanager
def _stoppable() -> Iterator[None]:
    """Make SIGTERM a KeyboardInterrupt, as SIGINT is."""

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _listener(path: Path) -> tuple[str, int]:
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise BrokerError(f"{path}: cannot be read: {reason}; `deconflict init` makes it") from None
    match = re.search(r"^listener (\d+) (\S+)$", text, re.MULTILINE)
    if match is None:
        raise BrokerError(f"{path}: no line `listener PORT ADDRESS`; `deconflict init` makes this file")
    return match[2], int(match[1])


def _taken(address: str, port: int) -> bool:
    """Somebody listens there. Asked by binding: a connection would leave TLS errors in the broker's log."""
    family, kind, protocol, _, where = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(where)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return True
            raise BrokerError(f"{address}:{port}: cannot be listened at: {error.strerror}") from None
    return False
