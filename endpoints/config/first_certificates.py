"""Makes the first certificates of one side alone, or a request for them, and those of the broker and its checks."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from broker.names import HEALTH
from broker.pki import Authority
from endpoints.config import certificate_change
from endpoints.config.certificate_survey import survey
from endpoints.config.new_folder import as_user_errors, new_folder
from endpoints.config.tls_files import TlsFiles
from endpoints.keys.private_files import FOLDER_MODE, exists, make_private_folder
from protocol.wire.instants import Millis

AUTHORITY = "authority"
"""The folder of an authority: the operator's beside the broker's, a side's own in the side's."""


def certify(own: Path, identity: str, authority: Path | None, at: Millis, *, own_authority: bool) -> None:
    """Make the private key of a client and its certificate in `own/tls`, or a request for it.

    Args:
        own: the side's folder, with an empty folder `tls`.
        identity: the side's, or the watch's.
        authority: the folder of the authority that issues the certificate, if it is here.
        at: now (ms since 1970).
        own_authority: make an authority of the side's own, which issues it.

    Raises BrokerError and UserError.
    """
    tls = own / "tls"
    if authority is not None:
        Authority.load(authority).issue_client(identity, tls, at)
    elif own_authority:
        Authority.make(own / AUTHORITY, at, identity).issue_client(identity, tls, at)
    else:
        files = TlsFiles(
            place=own,
            identity=identity,
            authority=tls / "ca.crt",
            certificate=tls / "client.crt",
            key=tls / "client.key",
        )
        certificate_change.prepare_request(files, (), at)


def enrol_broker(folder: Path, names: Sequence[str], *, authority: Path | None, at: Millis) -> Authority:
    """Make the broker's certificate in `folder/broker/tls`, and its authority in `folder/authority`, or nothing.

    The certificate for health checks comes with it; a broker that has all but that one, and its authority here, gets
    it alone. The configuration and the access list follow from the link files. Returns the authority.

    Args:
        folder: may have other files.
        names: the host names and addresses under which the sides reach the broker.
        authority: the folder of an authority that is there already, which then issues the certificate.
        at: now (ms since 1970).

    Raises UserError if one of the two folders has files, or `authority` cannot be used.
    """
    home = folder.absolute()
    with ExitStack() as making, as_user_errors(home):
        if authority is not None and exists(home / "broker" / "tls") and not exists(home / "broker" / HEALTH):
            issuing = Authority.load(authority)
            issue_health(issuing, home / "broker", at)
            return issuing
        if authority is None:
            place = making.enter_context(new_folder(home / AUTHORITY, FOLDER_MODE))
            issuing = Authority.make_in(place, at)
        else:
            issuing = Authority.load(authority)
        own = making.enter_context(new_folder(home / "broker", FOLDER_MODE))
        make_private_folder(own / "tls")
        issuing.issue_server(own / "tls", at, names)
        issue_health(issuing, own, at)
    return issuing


def health_is_due(own: Path, authority: Path, at: Millis) -> bool:
    """Return whether the broker in the folder `own` needs a new certificate for its health checks at `at`.

    So it is if there is none, if it ends soon, or if another authority has issued it than the one in `authority`.
    """
    tls = TlsFiles(
        place=own / HEALTH,
        identity=HEALTH,
        authority=own / HEALTH / "ca.crt",
        certificate=own / HEALTH / "client.crt",
        key=own / HEALTH / "client.key",
    )
    found = survey(tls, at)
    if found.warnings:
        return True
    issuer = authority / "ca.crt"
    return exists(issuer) and not certificate_change.issued_by(
        found.certificates[0].certificate, certificate_change.load_one(issuer)
    )


def issue_health(authority: Authority, own: Path, at: Millis) -> None:
    """Make the certificate of the client that checks the broker, in `health` of the broker's folder `own`.

    Raises BrokerError and OSError.
    """
    make_private_folder(own / HEALTH)
    authority.issue_client(HEALTH, own / HEALTH, at)
