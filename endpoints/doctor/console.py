"""Checks what the table `[console]` needs: its address, its certificate, and the file of its sessions."""

from __future__ import annotations

import http.client
import ipaddress
import os
import ssl
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.x509.oid import ExtensionOID

from endpoints.config.console_settings import ConsoleSettings, TcpListen, load_console
from endpoints.config.settings import ProcessSettings
from endpoints.console import address
from endpoints.console.process import sessions_path
from endpoints.console.sessions import check_file
from endpoints.doctor.findings import Report
from endpoints.doctor.network import check_validity
from endpoints.errors import UserError
from endpoints.keys.private_files import require_private
from endpoints.mqtt import certificates
from protocol.errors import LinkError
from protocol.phrases import phrase
from protocol.wire.instants import Millis

_ANSWER_WITHIN_S = 3.0
_ALIVE = b"ok\n"


def check_console(settings: ProcessSettings, found: Report, at: Millis) -> None:
    """A console that is expected must be able to start, and browsers must accept it."""
    if not settings.console:
        return
    console = load_console(settings.path)
    with found.trying(settings.path):
        _check_certificate(console, found, at)
    with found.trying(settings.path):
        _check_address(console, found)
    path = sessions_path(console)
    if path.exists():
        with found.trying(path):
            require_private(path, what=phrase("file of the console's sessions"))
            check_file(path)


def _check_certificate(console: ConsoleSettings, found: Report, at: Millis) -> None:
    """Key and certificate must belong together, and the certificate must name the host of the origin."""
    if console.certificate is None:
        return
    address.tls(console)
    own = certificates.load(console.certificate)[0]
    check_validity(console.certificate, own, found, at)
    host = urlsplit(console.origin).hostname or ""
    if not _names(own, host):
        found.add(
            console.certificate,
            phrase("does not name {host}, the host of console.origin, so no browser accepts it", host=host),
            phrase("use a certificate for this name"),
        )


def _names(certificate: x509.Certificate, host: str) -> bool:
    """Return whether a certificate is for a host, as browsers look: in its alternative names alone."""
    try:
        found = certificate.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME).value
    except x509.ExtensionNotFound:
        return False
    assert isinstance(found, x509.SubjectAlternativeName)
    try:
        return ipaddress.ip_address(host) in found.get_values_for_type(x509.IPAddress)
    except ValueError:
        names = {name.lower() for name in found.get_values_for_type(x509.DNSName)}
        return bool(names & {host, f"*.{host.partition('.')[2]}"})


def _check_address(console: ConsoleSettings, found: Report) -> None:
    """The address must be of this machine, and free unless this console has it."""
    if not isinstance(console.listen, TcpListen):
        _check_socket(console.listen.path, found)
        return
    try:
        address.listen(console.listen).close()
    except UserError:
        if not _serves(console, console.listen):
            raise


def _check_socket(path: Path, found: Report) -> None:
    """The proxy's socket needs a folder in which this user may make it."""
    if not path.parent.is_dir():
        found.add(path.parent, phrase("no such folder"), phrase("the console's socket needs it"))
    elif not os.access(path.parent, os.W_OK | os.X_OK):
        found.add(path.parent, phrase("this user may not write here"), phrase("the console's socket needs it"))
    elif path.exists() and not path.is_socket():
        found.add(path, phrase("not a socket"), phrase("remove the file, or configure another path"))


def _serves(console: ConsoleSettings, listen: TcpListen) -> bool:
    """Return whether a console of this origin answers at the address."""
    host = address.LOOPBACKS[0] if listen.loopback and not listen.host[0].isdigit() else listen.host
    if console.certificate is None:
        asked = http.client.HTTPConnection(host, listen.port, timeout=_ANSWER_WITHIN_S)
    else:
        trust = ssl.create_default_context(cafile=str(console.certificate))
        # who answers is told by what it says; the name stands in another check
        trust.check_hostname = False
        trust.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        asked = http.client.HTTPSConnection(host, listen.port, timeout=_ANSWER_WITHIN_S, context=trust)
    try:
        asked.request("GET", "/healthz", headers={"host": urlsplit(console.origin).netloc})
        answer = asked.getresponse()
        return answer.status == http.HTTPStatus.OK and answer.read(len(_ALIVE) + 1) == _ALIVE
    except (OSError, http.client.HTTPException, LinkError):
        return False
    finally:
        asked.close()
