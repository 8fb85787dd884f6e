"""Names the files of one certificate: of an endpoint or the watch, of the broker, or of its health check.

```
tls/client.crt  client.key  ca.crt        of the broker: server.crt server.key ca.crt
health/client.crt  client.key  ca.crt     in the broker's folder: the client that checks it
tls/client.csr  client.key.next           while a request is open
broker/bridge/SIDE/client.crt ...         of the bridge to the broker of another side
authority/ca.crt                          an authority of one's own, beside endpoint.toml
```
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from broker.bridges import FOLDER
from broker.bridges import identity as bridge_identity
from broker.configuration import present_bridges
from broker.names import BROKER, HEALTH, Purpose, next_of
from endpoints.config import toml_reader
from endpoints.config.new_folder import as_user_errors
from endpoints.config.settings_tables import EndpointTable, WatchTable
from endpoints.errors import UserError
from endpoints.keys.private_files import OF_THE_INSTALLATION, exists
from protocol.phrases import phrase

CONFIGURATIONS = ("endpoint.toml", "watch.toml")


class TlsFiles(Struct, frozen=True, kw_only=True):
    """The files of one certificate; none of them need exist.

    Attributes:
        place: what the user named: `endpoint.toml`, `watch.toml`, the folder that `deconflict broker` takes, or
            `broker/health` or `broker/bridge/SIDE` in it.
        identity: whose certificate it is.
        authority: the authorities that this end trusts to issue the certificate of the other end.
        certificate: the certificate.
        key: its private key.
        bridge: whether it is that of a broker, for a bridge to another one.
    """

    place: Path
    identity: str
    authority: Path
    certificate: Path
    key: Path
    bridge: bool = False

    @property
    def purpose(self) -> Purpose:
        """What the certificate is for."""
        return "server" if self.identity == BROKER else "client"

    @property
    def of_operator(self) -> bool:
        """Whether it belongs to the broker's operator, who has the authority as well."""
        return self.identity in {BROKER, HEALTH}

    @property
    def installation(self) -> Path:
        """The folder in which an authority lies: the operator's, or a side's own."""
        if self.identity == BROKER:
            return self.place
        return self.place.absolute().parents[1] if self.identity == HEALTH else self.place.parent

    @property
    def next_key(self) -> Path:
        """The private key of an open request."""
        return next_of(self.key)

    @property
    def request(self) -> Path:
        """The open request."""
        return self.certificate.with_suffix(".csr")

    @property
    def issuers(self) -> tuple[Path, ...]:
        """The files of the authorities that may have issued the certificate."""
        # an authority of a side's own is beside its configuration, the broker's beside the broker's folder
        own = self.installation / "authority" / "ca.crt"
        return (self.authority, *([own] if exists(own) else []))


def of(place: Path) -> TlsFiles:
    """Return the files of `place`: a configuration, the folder that `deconflict broker` takes, or one in its own.

    Raises UserError.
    """
    if _is_folder(place):
        if place.absolute().name == HEALTH and exists(place / "client.crt"):
            return _health(place)
        return _bridge(place) or _broker(place)
    table = toml_reader.read(place, what=toml_reader.PROCESS)
    raw: EndpointTable | WatchTable
    if "side" in table:
        raw = toml_reader.convert(table, EndpointTable, path=place)
        identity = raw.side
    else:
        raw = toml_reader.convert(table, WatchTable, path=place)
        identity = raw.identity
    folder = place.parent
    return TlsFiles(
        place=place,
        identity=identity,
        authority=folder / raw.broker.authority,
        certificate=folder / raw.broker.certificate,
        key=folder / raw.broker.key,
    )


def _broker(place: Path) -> TlsFiles:
    tls = place / "broker" / "tls"
    if not exists(tls):
        for name in CONFIGURATIONS:
            if exists(place / name):
                return of(place / name)
        raise UserError(
            phrase(
                "{folder}: no folder broker/tls; give endpoint.toml or watch.toml, or the folder that the broker's "
                "operator made with: deconflict enrol FOLDER --side broker",
                folder=place,
            )
        )
    return TlsFiles(
        place=place,
        identity=BROKER,
        authority=tls / "ca.crt",
        certificate=tls / "server.crt",
        key=tls / "server.key",
    )


def _health(place: Path) -> TlsFiles:
    return TlsFiles(
        place=place,
        identity=HEALTH,
        authority=place / "ca.crt",
        certificate=place / "client.crt",
        key=place / "client.key",
    )


def _bridge(place: Path) -> TlsFiles | None:
    """Return the files of a bridge if `place` is its folder. Raises UserError."""
    own = place.absolute().parent.parent
    if place.absolute().parent.name != FOLDER or not exists(own / "mosquitto.conf"):
        return None
    with as_user_errors(own):
        found = present_bridges(own)
        if found is None:
            return None
        name = bridge_identity(found.side)
    return TlsFiles(
        place=place,
        identity=name,
        authority=place / "ca.crt",
        certificate=place / "client.crt",
        key=place / "client.key",
        bridge=True,
    )


def within(place: Path) -> Iterator[TlsFiles]:
    """Yield the files of a configuration, or of everything in the folder of an installation. Raises UserError."""
    if not _is_folder(place):
        yield of(place)
        return
    found = False
    with as_user_errors(place):
        folders = sorted(each for each in place.iterdir() if each.is_dir())
    for folder in (place, *folders):
        for name in CONFIGURATIONS:
            if exists(folder / name):
                found = True
                yield of(folder / name)
    if exists(place / "broker" / "tls"):
        found = True
        yield _broker(place)
    if exists(place / "broker" / HEALTH / "client.crt"):
        found = True
        yield _health(place / "broker" / HEALTH)
    if exists(place / "broker" / FOLDER):
        bridges = place / "broker" / FOLDER
        with as_user_errors(bridges):
            folders = sorted(each for each in bridges.iterdir() if each.is_dir())
        yield from filter(None, map(_bridge, folders))
    if not found:
        raise UserError(
            phrase(
                "{folder}: no endpoint.toml, watch.toml or broker/tls here; name a configuration or the folder of an "
                "installation",
                folder=place,
            )
        )


def _is_folder(place: Path) -> bool:
    """Return whether `place` is a folder. Raises UserError if this user may not know."""
    return exists(place) and place.is_dir()


def remedy(key: str, file: Path) -> str:
    """Return what would be right where the file of a key of `[broker]` is missing."""
    if key == "authority":
        return phrase("the broker's operator has it; compare and install it: deconflict cert trust CONFIG FILE")
    if key == "certificate" and exists(file.with_suffix(".csr")):
        return phrase("it is still to be signed; then install it: deconflict cert renew CONFIG FILE")
    return OF_THE_INSTALLATION
