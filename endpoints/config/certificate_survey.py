"""Lists the certificates of an installation with what is wrong with them, for `cert show` and the doctor."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from cryptography import x509
from msgspec import Struct

from broker import constraints, files, pairs
from broker.errors import BrokerError
from broker.identities import alternative_names
from broker.requests import CertificateRequest
from endpoints.config.certificate_change import fingerprint, issued_by, load_all, load_request
from endpoints.config.tls_files import TlsFiles
from endpoints.errors import UserError
from endpoints.keys.private_files import exists, read_bytes
from protocol.phrases import phrase, worded
from protocol.wire.instants import Millis

LEADS_DAYS = (7, 30)
_DAY_MS: Millis = 86_400_000
_DIGITS = 16

Whose = Literal["own", "trusted", "issuing"]
"""Of a certificate: this place's own, an authority that it trusts, or an authority that it issues with."""


class Listed(Struct, frozen=True):
    """One certificate of an installation."""

    whose: Whose
    path: Path
    certificate: x509.Certificate


class Survey(Struct, frozen=True, kw_only=True):
    """What is at one place.

    Attributes:
        tls: the place.
        certificates: its own first, then the authorities.
        request: the open request, if there is one.
        warnings: what is wrong, each with what would be right.
    """

    tls: TlsFiles
    certificates: tuple[Listed, ...]
    request: CertificateRequest | None
    warnings: tuple[str, ...]


def survey(tls: TlsFiles, now: Millis) -> Survey:
    """Return what is at a place at `now` (ms since 1970); a file that cannot be read is a warning."""
    listed: list[Listed] = []
    warnings: list[str] = []
    paths: list[tuple[Whose, Path]] = [("own", tls.certificate), ("trusted", tls.authority)]
    paths += [("issuing", path) for path in tls.issuers[1:]]
    for whose, path in paths:
        try:
            listed += [Listed(whose, path, each) for each in load_all(path)]
        except UserError as error:
            warnings.append(worded(error))
    request = None
    if exists(tls.request) and not pairs.is_answered(tls.certificate):
        try:
            request = load_request(tls.request)
            request.check_age(now, at=tls.request)
        except (UserError, BrokerError) as error:
            warnings.append(worded(error))
    own = next((each.certificate for each in listed if each.whose == "own"), None)
    if own is not None and (wrong := _wrong_key(own, tls)) is not None:
        warnings.append(wrong)
    warnings += [text for each in listed for text in _endings(each, now)]
    warnings += trust_faults(tls, [each.certificate for each in listed if each.whose == "trusted"], own, now)
    if own is not None and (missing := without_name(own, tls)) is not None:
        warnings.append(missing)
    return Survey(tls=tls, certificates=tuple(listed), request=request, warnings=tuple(warnings))


def _wrong_key(own: x509.Certificate, tls: TlsFiles) -> str | None:
    """Return why there is no private key for the certificate, None if there is one."""
    if pairs.key_for(files.pem(own), tls.key) is not None:
        return None
    try:
        read_bytes(tls.key, what=phrase("private key"), max_bytes=files.PEM_MAX_BYTES)
    except UserError as error:
        return worded(error)
    return phrase(
        "{key}: not the private key of {certificate}; install the certificate of the last request",
        key=tls.key,
        certificate=tls.certificate,
    )


def _endings(listed: Listed, now: Millis) -> Iterator[str]:
    ends = round(listed.certificate.not_valid_after_utc.timestamp() * 1_000)
    date = listed.certificate.not_valid_after_utc.date().isoformat()
    days = (ends - now) // _DAY_MS
    if round(listed.certificate.not_valid_before_utc.timestamp() * 1_000) > now:
        begins = listed.certificate.not_valid_before_utc.strftime("%Y-%m-%dT%H:%M:%SZ")
        yield phrase(
            "{path}: not valid before {when}; check the clocks of both machines", path=listed.path, when=begins
        )
    if ends <= now:
        yield phrase("{path}: expired on {date}; renew it", path=listed.path, date=date)
    elif days < LEADS_DAYS[0]:
        yield phrase("{path}: URGENT: ends on {date}, in {days} days; renew it", path=listed.path, date=date, days=days)
    elif days < LEADS_DAYS[1]:
        yield phrase("{path}: ends on {date}, in {days} days; renew it", path=listed.path, date=date, days=days)


def without_name(certificate: x509.Certificate, tls: TlsFiles) -> str | None:
    """Return what is wrong if a client's certificate lacks its identity as DNS name, as older ones do; else None."""
    if tls.purpose == "server" or tls.identity in alternative_names(certificate.extensions):
        return None
    return phrase(
        "{path}: lacks the identity as DNS name, by which brokers other than Mosquitto go; renew it: {command}",
        path=tls.certificate,
        command=shlex.join(["deconflict", "cert", "request", str(tls.place)]),
    )


def trust_faults(
    tls: TlsFiles, authorities: Sequence[x509.Certificate], own: x509.Certificate | None, now: Millis
) -> Iterator[str]:
    """Yield what is wrong with the authorities that a place trusts: each is named by its file and fingerprint."""
    for each in authorities:
        restricted = constraints.permitted(each)
        if tls.purpose == "client" and restricted is not None:
            yield phrase(
                "{path}: trusts the authority of {identity} for the broker's certificate; drop it: {command}",
                path=tls.authority,
                identity=restricted,
                command=_drop(tls, each),
            )
        ended = each.not_valid_after_utc.timestamp() * 1_000 <= now
        if ended and len(authorities) > 1:
            yield phrase(
                "{path}: trusts an authority that has ended; drop it: {command}",
                path=tls.authority,
                command=_drop(tls, each),
            )
    if tls.purpose == "server":
        yield from _broad(tls, authorities, own)


def _broad(tls: TlsFiles, authorities: Sequence[x509.Certificate], own: x509.Certificate | None) -> Iterator[str]:
    """Yield the authorities beside the operator's own that could issue certificates for every side."""
    for each in authorities:
        if constraints.permitted(each) is not None or (own is not None and issued_by(own, each)):
            continue
        yield phrase(
            "{path}: trusts an authority that can issue certificates for every side and has not issued the broker's "
            "own; unless it is the operator's next or former one, drop it: {command}",
            path=tls.authority,
            command=_drop(tls, each),
        )


def _drop(tls: TlsFiles, authority: x509.Certificate) -> str:
    """Return the command that drops an authority."""
    digits = fingerprint(authority)[:_DIGITS]
    return shlex.join(["deconflict", "cert", "trust", str(tls.place), "--drop", digits])
