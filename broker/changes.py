"""Notices that files of a running Mosquitto were replaced, so that it is started again for them.

SIGHUP is not enough: it neither adds nor drops authorities, and breaks Mosquitto 2.0.21. Every connection of a client
that was offline at that moment is closed within a second from then on, until the next start. Files that Mosquitto
could not use are reported and left alone: it goes on with those that it has read.
"""

from __future__ import annotations

from pathlib import Path

from broker import files, pairs
from broker.bridges import FOLDER
from broker.errors import BrokerError
from broker.names import Purpose
from protocol.phrases import phrase

LOOK_EVERY_S = 2.0
"""How often the files are examined. They are taken over once two looks have found them the same."""

_FILES = ("acl", "mosquitto.conf", "tls/ca.crt", "tls/server.crt")
_BRIDGE = ("ca.crt", "client.crt")
"""Of each bridge, in a folder of its own."""

_State = dict[str, tuple[int, int, int]]


class FileChanges:
    """The files in a broker's folder, as the running Mosquitto has read them."""

    def __init__(self, folder: Path) -> None:
        """Take the present files for those that Mosquitto reads at its start. Finishes an interrupted installation."""
        self._folder = folder
        settle(folder)
        self._read = self._seen = self._state()

    def look(self) -> bool:
        """Return whether files were replaced, completely, that Mosquitto has not read.

        Raises BrokerError, once for each change, if Mosquitto could not use the new files.
        """
        now = self._state()
        if now == self._read:
            self._seen = now
            return False
        if now != self._seen:
            # still being replaced
            self._seen = now
            return False
        # whatever comes of it: what cannot be used is reported once
        self._read = now
        settle(self._folder)
        self._check()
        return True

    def _state(self) -> _State:
        found = {}
        bridged = [f"{place.relative_to(self._folder)}/{name}" for place in _bridges(self._folder) for name in _BRIDGE]
        for name in (*_FILES, *bridged):
            try:
                status = (self._folder / name).stat()
            except OSError:
                continue
            found[name] = (status.st_ino, status.st_mtime_ns, status.st_size)
        return found

    def _check(self) -> None:
        _check_pair(self._folder / "tls", "server")
        for place in _bridges(self._folder):
            # a bridge whose request is open has no certificate yet
            if (place / "client.crt").exists():
                _check_pair(place, "client")
        for name in ("acl", "mosquitto.conf"):
            files.read(self._folder / name)


def _check_pair(place: Path, purpose: Purpose) -> None:
    """Raise BrokerError unless Mosquitto can use the certificate, the key and the authorities in the folder `place`."""
    authorities, certificate, key = place / "ca.crt", place / f"{purpose}.crt", place / f"{purpose}.key"
    files.certificates_in(files.read(authorities), at=authorities)
    if pairs.key_for(files.read(certificate), key) != key:
        raise BrokerError(phrase("{path}: not the private key of {certificate}", path=key, certificate=certificate))


def settle(folder: Path) -> None:
    """Finish the installation of a certificate in a broker's folder, or in that of a bridge, that was cut short."""
    try:
        pairs.settle(folder / "tls" / "server.crt", folder / "tls" / "server.key")
        for place in _bridges(folder):
            pairs.settle(place / "client.crt", place / "client.key")
    except OSError:
        # another user's files: Mosquitto reports what it cannot use
        return


def _bridges(folder: Path) -> list[Path]:
    """Return the folders of the bridges of the broker in `folder`; none if they cannot be listed."""
    try:
        return sorted(each for each in (folder / FOLDER).iterdir() if each.is_dir())
    except OSError:
        return []
