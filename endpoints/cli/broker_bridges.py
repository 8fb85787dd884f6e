"""Bridges of `deconflict broker --configure`: what is asked for, the requests for certificates, and what is shown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from broker import configuration
from broker.bridges import FOLDER, Bridges, Remote, identity
from endpoints.cli.values import identifier
from endpoints.config.broker_settings import Address, address
from endpoints.config.new_folder import as_user_errors
from endpoints.errors import UserError
from endpoints.keys.private_files import exists, make_private_folder
from protocol.phrases import phrase

if TYPE_CHECKING:
    from endpoints.texts.i18n import Translator


class AskedBridges(Struct, frozen=True, kw_only=True):
    """What the options say of bridges.

    Attributes:
        serve: the side that the broker serves; None: as before.
        to: SIDE=HOST:PORT of each broker to connect to; with `serve` alone: the others connect to this one.
        none: serve all sides.
    """

    serve: str | None = None
    to: Sequence[str] = ()
    none: bool = False


def asked(serve: str | None, to: Sequence[str] | None, *, none: bool) -> AskedBridges:
    """Return what the options say. Raises UserError if they contradict each other."""
    if serve is not None:
        identifier(serve, option="serve")
    if none and (serve is not None or to):
        raise UserError(phrase("--no-bridges: not with --serve or --bridge-to"))
    if to and serve is None:
        raise UserError(phrase("--bridge-to: needs the side that this broker serves: --serve SIDE"))
    return AskedBridges(serve=serve, to=tuple(to or ()), none=none)


def bridges(own: Path, what: AskedBridges) -> Bridges | None:
    """Return the bridges of the broker in `own`: as asked, or as before. Raises UserError."""
    if what.none:
        return None
    if what.serve is None:
        with as_user_errors(own):
            return configuration.present_bridges(own)
    remotes = {}
    for text in what.to:
        side, separator, place = text.partition("=")
        if not separator:
            raise UserError(
                phrase(
                    "--bridge-to: expected SIDE=HOST:PORT, such as ndmc=broker.example.org:8883, found {text}",
                    text=repr(text[:80]),
                )
            )
        identifier(side, option="bridge-to")
        if side in remotes:
            raise UserError(phrase("--bridge-to: {side} twice; name each once", side=side))
        found = address(place, at="--bridge-to")
        remotes[side] = Remote(found.host, found.port)
    return Bridges(what.serve, remotes)


def shown(made: Bridges | None, before: Bridges | None, links: configuration.Links, t: Translator) -> Iterator[str]:
    """Yield what the bridges are, one line for each other side."""
    if made is None:
        if before is not None:
            yield f"  * {t('no bridges any more: it serves all sides')}"
        return
    yield f"    {t('serves {side} alone', side=made.side)}"
    for side in sorted({each for parties in links.values() for each in parties} - {made.side}):
        remote = made.remotes.get(side)
        mark = " " if before is not None and made.side == before.side and before.remotes.get(side) == remote else "*"
        if remote is not None:
            line = t(
                "{side}: over a bridge to its broker at {address}, as {identity}",
                side=side,
                address=Address(*remote),
                identity=identity(made.side),
            )
        else:
            line = t(
                "{side}: over a bridge from its broker, which connects here as {identity}",
                side=side,
                identity=identity(side),
            )
        yield f"  {mark} {line}"


def document(made: Bridges | None) -> dict[str, object]:
    """Return the bridges as `--json` prints them."""
    if made is None:
        return {"serves": None, "bridges": {}}
    return {"serves": made.side, "bridges": {side: str(Address(*remote)) for side, remote in made.remotes.items()}}


def prepare(own: Path, made: Bridges | None) -> list[Path]:
    """Make a key and a request for each bridge of the broker in `own` without a certificate; return their folders.

    Raises UserError.
    """
    from endpoints.clocks.clock import SystemClock
    from endpoints.config import certificate_change, tls_files
    from endpoints.keys.process_memory import protect

    protect()
    at, _ = SystemClock().now()
    waiting = []
    for side in made.remotes if made is not None else ():
        place = own / FOLDER / side
        with as_user_errors(own):
            for folder in (place.parent, place):
                if not exists(folder):
                    make_private_folder(folder)
        tls = tls_files.of(place)
        if not exists(tls.certificate):
            waiting.append(place)
            if not exists(tls.request):
                certificate_change.prepare_request(tls, (), at)
    return waiting


def tell(waiting: Sequence[Path], t: Translator) -> None:
    """Say what is still to be done at the other broker. Raises UserError."""
    from endpoints.cli.cert_request import tell_request
    from endpoints.cli.certificate_text import request_rows
    from endpoints.cli.output import print_lines, say
    from endpoints.config import certificate_change, tls_files

    for place in waiting:
        tls = tls_files.of(place)
        say("")
        say(t("The bridge to the broker of {side} has no certificate of that broker's authority yet.", side=place.name))
        print_lines(request_rows(certificate_change.load_request(tls.request), t), stderr=True)
        tell_request(tls, t, first=True)
