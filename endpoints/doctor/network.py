"""Checks the certificates, the broker with its access list, and the receivers of notifications."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import NameOID

from broker import access
from endpoints.bounded_http import trusted
from endpoints.config import tls_files
from endpoints.config.broker_settings import Address
from endpoints.config.certificate_change import issued_by
from endpoints.config.certificate_survey import trust_faults, without_name
from endpoints.config.settings import EndpointSettings, ProcessSettings, WatchSettings
from endpoints.config.tls_files import TlsFiles
from endpoints.doctor import broker_probe
from endpoints.doctor.files import running
from endpoints.doctor.findings import Report
from endpoints.doctor.webhook_probe import unanswered
from endpoints.errors import UserError
from endpoints.metrics.listener import listen
from endpoints.mqtt import certificates
from endpoints.mqtt.session import too_brief
from endpoints.mqtt.tls import client_context
from endpoints.mqtt.topics import Topic, subscriptions
from protocol.core.environment import CERTIFICATE_LEADS_DAYS
from protocol.phrases import phrase
from protocol.wire.instants import Millis, written

EXPIRES_SOON_DAYS = CERTIFICATE_LEADS_DAYS[0]
"""A certificate that expires within this time is a finding: two sites have to agree on a day to replace it."""
_DAY_MS = 86_400_000


def check_health(settings: ProcessSettings, found: Report) -> None:
    """The address of the health listener must be one of this machine, and free while the service does not run."""
    if settings.health is not None and not running(settings):
        with found.trying(settings.path):
            listen(settings.health).close()


def check_certificates(settings: ProcessSettings, found: Report, at: Millis) -> None:
    """Our certificate must be the authority's, ours, and valid at `at` (ms since 1970)."""
    broker = settings.broker
    client_context(broker)
    authorities = certificates.load(broker.authority)
    certificate = certificates.load(broker.certificate)[0]
    tls = TlsFiles(
        place=settings.path,
        identity=broker.identity,
        authority=broker.authority,
        certificate=broker.certificate,
        key=broker.key,
    )
    issuers = [each for path in tls.issuers for each in certificates.load(path)]
    if not any(issued_by(certificate, each) for each in issuers):
        found.add(
            broker.certificate,
            phrase("not issued by the authority in {file}", file=broker.authority),
            phrase("use the certificate that it issued"),
        )
    names = [str(name.value) for name in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if names != [broker.identity]:
        issued = phrase("issued to {names}, not to {identity}", names=", ".join(names) or "-", identity=broker.identity)
        found.add(broker.certificate, issued, phrase("use the certificate of {identity}", identity=broker.identity))
    for each in authorities:
        check_validity(broker.authority, each, found, at)
    for text in trust_faults(tls, authorities, certificate, at):
        found.add(broker.authority, text, severity="warning")
    if (lacking := without_name(certificate, tls)) is not None:
        found.add(broker.certificate, lacking, severity="hint")
    check_validity(broker.certificate, certificate, found, at)
    for path in settings.authorities:
        for each in certificates.load(path):
            check_validity(path, each, found, at)


def check_broker_trust(settings: ProcessSettings, found: Report, at: Millis) -> None:
    """A broker on this machine must trust no authority by mistake that could issue certificates for every side."""
    for folder in sorted({link.sibling("broker", "tls").parent.parent for link in settings.links}):
        try:
            tls = tls_files.of(folder)
        except UserError:
            # no broker here
            continue
        if tls.purpose == "client" or not all(os.access(each, os.R_OK) for each in (tls.authority, tls.certificate)):
            # another user's
            continue
        own = certificates.load(tls.certificate)[0]
        for text in trust_faults(tls, certificates.load(tls.authority), own, at):
            found.add(tls.authority, text, severity="warning")


def check_validity(path: Path, certificate: x509.Certificate, found: Report, at: Millis) -> None:
    """A certificate must be valid at `at`, and stay so for a month."""
    begins, ends = certificates.begins(certificate), certificates.ends(certificate)
    if at < begins:
        what = phrase("not valid before {when}", when=written(begins))
        found.add(path, what, phrase("check the machine's clock"))
    elif at >= ends:
        found.add(path, phrase("expired on {when}", when=written(ends)), phrase("renew it"))
    elif at >= ends - EXPIRES_SOON_DAYS * _DAY_MS:
        what = phrase("expires on {when}", when=written(ends))
        found.add(path, what, phrase("renew it before"), severity="warning")


def check_broker(settings: ProcessSettings, found: Report, at: Millis) -> None:
    """Each node must be reachable; while the service does not run, each must also grant what the service needs."""
    watched = True
    for address in settings.broker.addresses:
        # at one node: the nodes share the session, and a second copy comes back to any of them
        watched = not _check_node(settings, address, found, at, watched=watched) and watched


def _check_node(settings: ProcessSettings, address: Address, found: Report, at: Millis, *, watched: bool) -> bool:
    """Check one node; return whether there was a session."""
    broker, where = settings.broker, str(address)
    reached = broker_probe.handshake(broker, address)
    ends = None if reached.certificate is None else certificates.ends_of_der(reached.certificate)
    if ends is not None and at >= ends - EXPIRES_SOON_DAYS * _DAY_MS:
        what = phrase("the broker's certificate expires on {when}", when=written(ends))
        found.add(where, what, phrase("have the broker's operators renew it before"), severity="warning")
    if not reached.problem and not running(settings):
        reached = broker_probe.session(broker, address, _reads(settings), _presence(settings), watched=watched)
    if reached.problem:
        found.add(where, reached.problem, reached.remedy)
    if reached.session_kept_s is not None and (brief := too_brief(reached.session_kept_s)) is not None:
        found.add(where, brief, phrase("have the broker's operators raise its longest session expiry"))
    return reached.session_kept_s is not None


def check_access(settings: ProcessSettings, found: Report) -> None:
    """The access list of a broker on this machine must grant what the process needs."""
    identity = settings.broker.identity
    for link in settings.links:
        path = link.sibling("broker", "acl")
        try:
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError):
            # another machine's, or another user's
            continue
        needs: list[tuple[access.Access, str]] = [("read", topic) for topic, _ in _reads(settings, link.id)]
        if isinstance(settings, EndpointSettings):
            needs += [("write", topic) for topic, _ in subscriptions(link.id, settings.side)]
        lacking = [(right, topic) for right, topic in needs if not access.grants(text, identity, right, topic)]
        if not lacking:
            continue
        right, topic = lacking[0]
        named = {"user": identity, "topic": topic, "count": len(lacking)}
        if right == "read":
            what = phrase("user {user}: no right to read {topic}, and {count} rights in all are missing", **named)
        else:
            what = phrase("user {user}: no right to write {topic}, and {count} rights in all are missing", **named)
        found.add(
            path,
            what,
            phrase("add the lines to this access list, then restart the broker"),
        )


def _reads(settings: ProcessSettings, link: str | None = None) -> list[tuple[str, int]]:
    """Return the topics that the process reads, on all links or one, each with its QoS."""
    return [
        subscription
        for each in settings.links
        if link in {None, each.id}
        for party in each.content.parties
        if party != settings.side
        for subscription in subscriptions(each.id, party)
    ]


def _presence(settings: ProcessSettings) -> list[str]:
    """Return the presence topics that an endpoint writes; the watch writes none."""
    if isinstance(settings, WatchSettings):
        return []
    return [str(Topic(link.id, settings.side, "presence")) for link in settings.links]


def check_notifications(settings: ProcessSettings, found: Report) -> None:
    """The receivers of notifications must be there."""
    command, notifications = settings.notifications.command, settings.notifications
    if command and shutil.which(command[0]) is None:
        what = phrase("notifications.command: no such program: {program}", program=command[0])
        found.add(settings.path, what, phrase("install it or correct the path"))
    urls = [("notifications.webhook", notifications.webhook, notifications.authority)]
    if isinstance(settings, WatchSettings):
        urls.append(("dead_man.url", settings.dead_man.url, settings.dead_man.authority))
    for key, url, authority in urls:
        # the text never shows the URL, which may hold a secret
        if url and (why := unanswered(url, trusted(authority))):
            what = phrase("{key}: the web server does not answer: {why}", key=key, why=why)
            found.add(settings.path, what, phrase("correct the URL, or have its operators start the server"))
