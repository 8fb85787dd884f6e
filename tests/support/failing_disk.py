"""Makes disks fail: strace injects errors and delays into system calls, and small file systems fill up."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Self

import pytest


class Injection:
    """Makes a system call of a running process fail or wait, as a context manager. Threads that start later are exempt.

    Args:
        pid: the process.
        call: the system call's name.
        how: strace's option: `error=EIO`, `delay_enter=300000` (us), `error=ENOSPC:when=3`.
        path: only calls on this file.

    Attributes:
        calls: after exit, each call that failed or was delayed, with its arguments, as strace prints it.
    """

    def __init__(self, pid: int, call: str, how: str, path: Path | None = None) -> None:
        program = shutil.which("strace")
        if program is None:
            pytest.skip("no strace to make a disk fail: apt-get install strace")
        where = [] if path is None else ["-P", str(path)]
        # Not -f, which follows children too: told to end in the midst of their vfork, strace never ends.
        self._threads = [task.name for task in Path(f"/proc/{pid}/task").iterdir()]
        attach = [f"--attach={thread}" for thread in self._threads]
        self._arguments = [program, *attach, *where, f"--trace={call}", f"--inject={call}:{how}"]
        self._popen: subprocess.Popen[str] | None = None
        self.calls: tuple[str, ...] = ()

    def __enter__(self) -> Self:
        self._popen = subprocess.Popen(
            self._arguments, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        assert self._popen.stderr is not None
        # one line for each thread, even for one that has ended meanwhile
        told = "".join(islice(self._popen.stderr, len(self._threads)))
        if "attached" in told and "not permitted" not in told:
            return self
        self.__exit__()
        assert "not permitted" in told, told
        pytest.skip("strace may not attach to a process here: it takes root, or kernel.yama.ptrace_scope = 0")

    def __exit__(self, *_: object) -> None:
        """Let the process run freely again."""
        if self._popen is not None:
            self._popen.terminate()
            trace = self._popen.communicate(timeout=10)[1]
            self.calls = tuple(line for line in trace.splitlines() if line.endswith(("(INJECTED)", "(DELAYED)")))


def refuse_writes(segment: Path) -> None:
    """Make every open file of this process that is `segment` refuse writes from now on, as a read-only disk does."""
    reading = os.open(segment, os.O_RDONLY)
    for name in [each.name for each in Path("/proc/self/fd").iterdir()]:
        descriptor = int(name)
        with suppress(OSError):
            if os.path.sameopenfile(descriptor, reading) and descriptor != reading:
                os.dup2(reading, descriptor, inheritable=False)
    os.close(reading)


class SmallDisk:
    """Mounts a small file system in memory on a folder, as a context manager."""

    def __init__(self, folder: Path, size_bytes: int) -> None:
        self.folder = folder
        self._size_bytes = size_bytes
        self._filler = folder / "filler"

    def __enter__(self) -> Self:
        if os.geteuid():
            pytest.skip("no small disk: only root may mount one")
        self.folder.mkdir(parents=True, exist_ok=True)
        options = f"size={self._size_bytes},mode=0700"
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self.folder)], capture_output=True, check=False
        )
        if mounted.returncode:
            pytest.skip("no small disk: mount is not permitted here")
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run(["umount", "--lazy", str(self.folder)], capture_output=True, check=True)

    def leave(self, free_bytes: int) -> None:
        """Write or shorten a filler file until `free_bytes` are free."""
        self._filler.unlink(missing_ok=True)
        disk = os.statvfs(self.folder)
        taken = disk.f_bavail * disk.f_frsize - free_bytes
        with self._filler.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, taken)

    def empty(self) -> None:
        """Remove the filler."""
        self._filler.unlink()

    @contextmanager
    def taken_away(self, until: Callable[[Callable[[], bool]], object]) -> Iterator[None]:
        """Unmount it as soon as no process has a file of it open; on exit mount it again with its content."""
        aside = self.folder.with_name(f"{self.folder.name}-aside")
        aside.mkdir()
        subprocess.run(["mount", "--bind", str(self.folder), str(aside)], capture_output=True, check=True)
        try:
            until(
                lambda: subprocess.run(["umount", str(self.folder)], capture_output=True, check=False).returncode == 0
            )
            yield
            subprocess.run(["mount", "--bind", str(aside), str(self.folder)], capture_output=True, check=True)
        finally:
            subprocess.run(["umount", "--lazy", str(aside)], capture_output=True, check=True)

    def remount(self, how: str) -> None:
        """Remount it: `ro`, `rw`."""
        subprocess.run(["mount", "-o", f"remount,{how}", str(self.folder)], capture_output=True, check=True)
