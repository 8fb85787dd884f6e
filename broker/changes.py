"""Notices that files of a running Mosquitto were replaced, and decides how it must take them over.

Mosquitto reads its own certificate and its access list again on SIGHUP, and keeps its connections. The authorities and
the configuration it reads only at its start; SIGHUP drops no authority (2.0.11). Files that Mosquitto could not use
are reported and left alone: it goes on with those that it has read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from broker import files, pairs
from broker.errors import BrokerError
from protocol.phrases import phrase

LOOK_EVERY_S = 2.0
"""How often the files are examined. They are taken over once two looks have found them the same."""

How = Literal["reload", "restart"]
_RELOADED = ("acl", "tls/server.crt")
_RESTARTED = ("mosquitto.conf", "tls/ca.crt")

_State = dict[str, tuple[int, int, int]]


class FileChanges:
    """The files in a broker's folder, as the running Mosquitto has read them."""

    def __init__(self, folder: Path) -> None:
        """Take the present files for those that Mosquitto reads at its start. Finishes an interrupted installation."""
        self._folder = folder
        settle(folder)
        self._read = self._seen = self._state()

    def look(self) -> How | None:
        """Return how Mosquitto must take over what was replaced; None if nothing was, or not yet.

        Raises BrokerError, once for each change, if Mosquitto could not use the new files.
        """
        now = self._state()
        if now == self._read:
            self._seen = now
            return None
        if now != self._seen:
            # still being replaced
            self._seen = now
            return None
        changed = {name for name in now | self._read if now.get(name) != self._read.get(name)}
        # whatever comes of it: what cannot be used is reported once
        self._read = now
        settle(self._folder)
        self._check()
        return "restart" if changed & set(_RESTARTED) else "reload"

    def _state(self) -> _State:
        found = {}
        for name in (*_RELOADED, *_RESTARTED):
            try:
                status = (self._folder / name).stat()
            except OSError:
                continue
            found[name] = (status.st_ino, status.st_mtime_ns, status.st_size)
        return found

    def _check(self) -> None:
        tls = self._folder / "tls"
        authorities, certificate, key = tls / "ca.crt", tls / "server.crt", tls / "server.key"
        files.certificates_in(files.read(authorities), at=authorities)
        if pairs.key_for(files.read(certificate), key) != key:
            raise BrokerError(phrase("{path}: not the private key of {certificate}", path=key, certificate=certificate))
        for name in ("acl", "mosquitto.conf"):
            files.read(self._folder / name)


def settle(folder: Path) -> None:
    """Finish the installation of a server's certificate in a broker's folder that was cut short."""
    try:
        pairs.settle(folder / "tls" / "server.crt", folder / "tls" / "server.key")
    except OSError:
        # another user's files: Mosquitto reports what it cannot use
        return
