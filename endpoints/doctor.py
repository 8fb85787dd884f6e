"""Checks an installation before start-up: files, keys, certificates, broker, journals, clock and disk space."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import NameOID
from msgspec import Struct

from endpoints.clocks import slots
from endpoints.clocks.exercise_table import ExerciseTable
from endpoints.config.settings import BrokerSettings, EndpointSettings, LinkSettings, WatchSettings
from endpoints.errors import UserError
from endpoints.journal.segments import locked, segment_first, segments
from endpoints.journal.space_watch import SPACE_LOW_BYTES
from endpoints.keys.signer import Signer
from endpoints.mqtt import certificates
from endpoints.mqtt.tls import client_context
from protocol.core.environment import CERTIFICATE_LEADS_DAYS
from protocol.errors import LinkError
from protocol.record.recovery import recover
from protocol.wire.instants import Millis, written
from protocol.wire.keyring import Keyring

EXPIRES_SOON_DAYS = CERTIFICATE_LEADS_DAYS[0]
"""A certificate that expires within this time is a finding: two sites have to agree on a day to replace it."""
CONNECT_WITHIN_S = 5.0
_REFUSAL_WITHIN_S = 1.0
"""In TLS 1.3 the server refuses our certificate, if at all, only after the handshake."""
_DAY_MS = 86_400_000
_OTHERS = 0o077


class Finding(Struct, frozen=True):
    """One thing that will prevent the process from working, or that weakens it.

    Attributes:
        where: the file, address or folder concerned.
        what: what is wrong, and what would be right.
    """

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


class Examination:
    """Checks what `settings` name, without changing anything. `at` is the machine's wall clock (ms since 1970)."""

    def __init__(self, settings: EndpointSettings | WatchSettings, at: Millis) -> None:
        self._settings = settings
        self._at = at
        self.findings: list[Finding] = []
        self.hints: list[Finding] = []
        """What an attacker profits from and a trial on one machine may have: no reason not to start."""
        self.checks = 0
        """How many checks have run."""

    def run(self) -> tuple[Finding, ...]:
        """Run every check; return the findings, in the order in which start-up needs the parts."""
        settings = self._settings
        checks: list[Callable[[], None]] = [self._folders, self._trust, self._clock]
        if isinstance(settings, EndpointSettings):
            checks += [self._keys, self._officers]
        else:
            checks += [self._watch_keys]
        for link in settings.links:
            checks += [lambda link=link: self._link(link), lambda link=link: self._journal(link)]  # type: ignore[misc]
        checks += [self._certificates, self._broker, self._control, self._notifications, self._separation]
        for check in checks:
            self.checks += 1
            with self._finding():
                check()
        return tuple(self.findings)

    # --- files ----------------------------------------------------------------------------------------------------

    def _folders(self) -> None:
        settings = self._settings
        private = {settings.broker.key.parent, *(link.journal for link in settings.links)}
        if settings.keys is not None:
            private.add(settings.keys)
        for folder in sorted(private):
            if not folder.is_dir():
                # the first start creates the journal's folder
                if folder not in {link.journal for link in settings.links}:
                    self._find(folder, "no such folder; `deconflict init` or `enrol` makes it")
            elif (mode := folder.stat().st_mode & 0o7777) & _OTHERS:
                self._find(folder, f"open to others (mode {mode:04o}); make it private: chmod 700 {folder}")

    def _trust(self) -> None:
        for line in self._settings.changeable():
            with self._finding():
                raise UserError(line)

    def _separation(self) -> None:
        """Give hints where one user of this machine has what belongs to several, as `init` lays it out."""
        settings = self._settings
        user = settings.path.stat().st_uid
        same = f"belongs to the same user as the files of {settings.side}"
        own = f"{same}: an intruder in one has both; for more than a trial, give each a user of its own"
        for link in settings.links:
            for party in link.content.parties:
                if party != settings.side:
                    self._hint(link.sibling(party, "endpoint.toml"), user, own)
            self._hint(link.sibling("broker", "mosquitto.conf"), user, own)
            for folder in (("authority",), ("broker", "authority")):
                what = f"{same}: this key issues certificates for anybody; for more than a trial, keep it elsewhere"
                self._hint(link.sibling(*folder, "ca.key"), user, what)

    def _hint(self, path: Path, user: int, what: str) -> None:
        """Give a hint if `path` exists and `user` owns it."""
        try:
            shared = path.stat().st_uid == user
        except OSError:
            return
        hint = Finding(str(path), what)
        if shared and hint not in self.hints:
            self.hints.append(hint)

    def _clock(self) -> None:
        exercise = self._settings.exercise_clock
        if exercise is not None:
            ExerciseTable.read(exercise)

    def _keys(self) -> None:
        settings = self._settings
        assert isinstance(settings, EndpointSettings)
        for link in settings.links:
            with self._finding():
                own = Signer.load(settings.keys, link.content.terms.policy.suite).enrolled
                enrolled = link.content.keys[settings.side]
                for key in own:
                    if key not in enrolled:
                        self._find(
                            link.file,
                            f"parties.{settings.side}.keys: {key.id} of {settings.keys} is not enrolled there, so the "
                            "other side will refuse every frame; enrol the key, or use the enrolled one",
                        )

    def _watch_keys(self) -> None:
        settings = self._settings
        assert isinstance(settings, WatchSettings)
        for link in settings.links:
            enrolled = link.content.watch_keys
            with self._finding():
                if settings.keys is None and enrolled:
                    self._find(
                        settings.path,
                        f"keys: none, but {link.file} enrols a key for the watch, so no audit accepts its unsigned "
                        'journal; name the folder of its key: keys = "keys"',
                    )
                elif settings.keys is not None:
                    for key in Signer.load(settings.keys, link.content.terms.policy.suite).enrolled:
                        if key not in enrolled:
                            self._find(
                                link.file,
                                f"watch.keys: {key.id} of {settings.keys} is not enrolled there, so no audit accepts "
                                "what the watch signs; enrol the key, or use the enrolled one",
                            )

    def _officers(self) -> None:
        settings = self._settings
        assert isinstance(settings, EndpointSettings)
        strict = [link.id for link in settings.links if link.content.terms.policy.four_eyes]
        if strict and len(settings.officers) < 2:  # noqa: PLR2004 - four eyes
            self._find(
                settings.path,
                f"officers: link {strict[0]} has the four-eyes rule, and one officer cannot release their own alert; "
                "add another: deconflict enrol DIR --side ID --officer ID",
            )

    def _control(self) -> None:
        control, folder = self._settings.control, self._settings.control.parent
        if not folder.is_dir():
            self._find(folder, "no such folder; the control socket needs it")
        elif not os.access(folder, os.W_OK | os.X_OK):
            self._find(folder, "this user may not write here; the control socket needs it")
        elif any(locked(link.journal) for link in self._settings.links) and not control.is_socket():
            self._find(control, "no such socket, although the service runs; restart the service")

    def _notifications(self) -> None:
        command = self._settings.notifications.command
        if command and shutil.which(command[0]) is None:
            self._find(
                self._settings.path,
                f"notifications.command: no such program: {command[0]}; install it or correct the path",
            )
        for authority in self._settings.authorities:
            for each in certificates.load(authority):
                self._validity(authority, each)

    # --- the link and its journal ---------------------------------------------------------------------------------

    def _link(self, link: LinkSettings) -> None:
        policy = link.content.terms.policy
        with self._finding(link.file):
            Keyring(link.content.keys, policy.suite)
        if not slots.plan(policy.slots, policy.zone, self._at, self._at + 366 * _DAY_MS):
            self._find(link.file, "policy.slots: no line test within a year; correct the cron expressions")

    def _journal(self, link: LinkSettings) -> None:
        folder = link.journal
        existing = next(each for each in (folder, *folder.parents) if each.exists())
        if not os.access(existing, os.W_OK | os.X_OK):
            self._find(existing, "this user may not write here; the journal needs it")
            return
        free = shutil.disk_usage(existing).free
        if free < SPACE_LOW_BYTES:
            self._find(folder, f"{free >> 20} MiB free; below {SPACE_LOW_BYTES >> 20} MiB new alerts are refused")
        paths = segments(folder) if folder.is_dir() else []
        if not paths:
            return
        first = segment_first(paths[-1])
        assert first is not None
        with self._finding(paths[-1]):
            records = recover(paths[-1].read_bytes(), first, link.id, self._settings.side).records
            last = max((record.entry.at for record in records), default=0)
            if self._settings.exercise_clock is None and last > self._at:
                self._find(
                    folder, f"its last record is from {written(last)}, later than now; check the machine's clock"
                )

    # --- the broker -----------------------------------------------------------------------------------------------

    def _certificates(self) -> None:
        broker = self._settings.broker
        client_context(broker)
        authority = certificates.load(broker.authority)[0]
        certificate = certificates.load(broker.certificate)[0]
        try:
            certificate.verify_directly_issued_by(authority)
        except Exception:  # noqa: BLE001 - cryptography raises a different error for each cause
            self._find(
                broker.certificate,
                f"not issued by the authority in {broker.authority}; use the certificate that it issued",
            )
        names = [str(name.value) for name in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        if names != [broker.identity]:
            self._find(broker.certificate, f"issued to {', '.join(names) or 'no name'}, not to {broker.identity}")
        for path, each in ((broker.authority, authority), (broker.certificate, certificate)):
            self._validity(path, each)

    def _validity(self, path: Path, certificate: x509.Certificate) -> None:
        begins, ends = certificates.begins(certificate), certificates.ends(certificate)
        if self._at < begins:
            self._find(path, f"not valid before {written(begins)}; check the machine's clock")
        elif self._at >= ends:
            self._find(path, f"expired on {written(ends)}; renew it")
        elif self._at >= ends - EXPIRES_SOON_DAYS * _DAY_MS:
            self._find(path, f"expires on {written(ends)}; renew it before")

    def _broker(self) -> None:
        broker = self._settings.broker
        where = f"{broker.host}:{broker.port}"
        try:
            context = client_context(broker)
        except UserError:
            # reported by the check of the certificates
            return
        problem = _handshake(broker, context)
        if problem:
            self._find(where, problem)

    # --- findings -------------------------------------------------------------------------------------------------

    def _find(self, where: Path | str, what: str) -> None:
        finding = Finding(str(where), what)
        if finding not in self.findings:
            self.findings.append(finding)

    @contextmanager
    def _finding(self, where: Path | str | None = None) -> Iterator[None]:
        """Record an error as a finding."""
        try:
            yield
        except LinkError as error:
            path, _, what = str(error).partition(": ")
            self._find(*((path, what) if where is None and what else (where or self._settings.path, str(error))))
        except OSError as error:
            self._find(error.filename or where or self._settings.path, error.strerror or str(error))


def _handshake(broker: BrokerSettings, context: ssl.SSLContext) -> str:
    """Return why no TLS connection is possible. It sends no MQTT, which would end the running service's session."""
    try:
        with (
            socket.create_connection((broker.host, broker.port), timeout=CONNECT_WITHIN_S) as plain,
            context.wrap_socket(plain, server_hostname=broker.host) as secured,
        ):
            secured.settimeout(_REFUSAL_WITHIN_S)
            try:
                if not secured.recv(1):
                    return "the broker closes the connection at once; see its log"
            except TimeoutError:
                return ""
            return "not an MQTT broker: the server sends data first"
    except ssl.SSLCertVerificationError as error:
        return f"the broker's certificate is not trusted: {error.verify_message}"
    except ssl.SSLError as error:
        reason = (error.reason or str(error)).lower().replace("_", " ")
        return f"no TLS 1.3 connection with our certificate: {reason}"
    except socket.gaierror:
        return "no such host; check broker.host"
    except TimeoutError:
        return f"no answer within {CONNECT_WITHIN_S:.0f} s; check the address and the network"
    except OSError as error:
        return f"the broker cannot be reached: {error.strerror or error}"
