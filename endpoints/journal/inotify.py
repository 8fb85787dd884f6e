"""Waits for writes in a folder through the kernel's inotify, so that a follower does not poll."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from types import TracebackType
from typing import Self

_MODIFIED, _MOVED_HERE = 0x2, 0x80
_EVENTS_BYTES = 1 << 16


class FolderWatch:
    """Notices writes in `folder` from now on; a context manager. Raises OSError if the system has no inotify."""

    def __init__(self, folder: Path) -> None:
        system = ctypes.CDLL(None, use_errno=True)
        self._descriptor = system.inotify_init1(os.O_CLOEXEC)
        if self._descriptor < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        if system.inotify_add_watch(self._descriptor, os.fsencode(folder), _MODIFIED | _MOVED_HERE) < 0:
            number = ctypes.get_errno()
            os.close(self._descriptor)
            raise OSError(number, os.strerror(number), str(folder))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)

    def wait(self) -> None:
        """Block until a file in the folder has been written or renamed since the last call, or since the start."""
        os.read(self._descriptor, _EVENTS_BYTES)
