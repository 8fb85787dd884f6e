"""Everything that will not work, found before it does not: files, keys, certificates, broker, journals, time, room."""

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
from endpoints.keys.private_files import read_bytes
from endpoints.keys.signer import Signer
from endpoints.mqtt.tls import client_context
from protocol.errors import LinkError
from protocol.record.recovery import recover
from protocol.wire.instants import Millis, written
from protocol.wire.keyring import Keyring

EXPIRES_SOON_DAYS = 30
"""So long before its end a certificate is a finding: two sites have to agree on a day."""
CONNECT_WITHIN_S = 5.0
_REFUSAL_WITHIN_S = 1.0
"""In TLS 1.3 the server's refusal of our certificate comes after the handshake, if it comes."""
_PEM_MAX_BYTES = 65_536
_DAY_MS = 86_400_000
_OTHERS = 0o077


class Problem(Struct, frozen=True):
    """One thing that will not work.

    Attributes:
        where: the file, key, or part that it is about.
        what: what is wrong, and what would be right.
    """

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


class Examination:
    """Examines what `settings` name, at the instant `at` of the machine's wall clock. Nothing is changed."""

    def __init__(self, settings: EndpointSettings | WatchSettings, at: Millis) -> None:
        self._settings = settings
        self._at = at
        self.findings: list[Problem] = []
        self.checks = 0
        """How many things were looked at, found or not."""

    def run(self) -> tuple[Problem, ...]:
        """Return all findings, in the order of what has to work first."""
        settings = self._settings
        checks: list[Callable[[], None]] = [self._folders, self._clock]
        if isinstance(settings, EndpointSettings):
            checks += [self._keys, self._officers]
        for link in settings.links:
            checks += [lambda link=link: self._link(link), lambda link=link: self._journal(link)]  # type: ignore[misc]
        checks += [self._certificates, self._broker, self._control, self._notifications]
        for check in checks:
            self.checks += 1
            with self._finding():
                check()
        return tuple(self.findings)

    # --- files ----------------------------------------------------------------------------------------------------

    def _folders(self) -> None:
        settings = self._settings
        private = {settings.broker.key.parent, *(link.journal for link in settings.links)}
        if isinstance(settings, EndpointSettings):
            private.add(settings.keys)
        for folder in sorted(private):
            if not folder.is_dir():
                # a journal's folder is made by the first start
                if folder not in {link.journal for link in settings.links}:
                    self._find(folder, "no such folder")
            elif (mode := folder.stat().st_mode & 0o7777) & _OTHERS:
                self._find(folder, f"open to others (mode {mode:04o}); make it private: chmod 700 {folder}")

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
                            f"parties.{settings.side}.keys: {key.id} of {settings.keys} is not enrolled there; "
                            "the other side will refuse every frame",
                        )

    def _officers(self) -> None:
        settings = self._settings
        assert isinstance(settings, EndpointSettings)
        strict = [link.id for link in settings.links if link.content.terms.policy.four_eyes]
        if strict and len(settings.officers) < 2:  # noqa: PLR2004 - four eyes
            self._find(
                settings.path,
                f"officers: one alone cannot release his own alert, and link {strict[0]} has the four-eyes rule; "
                "add one: deconflict enrol DIR --side ID --officer ID",
            )

    def _control(self) -> None:
        control, folder = self._settings.control, self._settings.control.parent
        if not folder.is_dir():
            self._find(folder, "no such folder; the control socket belongs there")
        elif not os.access(folder, os.W_OK | os.X_OK):
            self._find(folder, "may not be written by this user; the control socket belongs there")
        elif any(locked(link.journal) for link in self._settings.links) and not control.is_socket():
            self._find(control, "no such socket, though the service runs; start it again")

    def _notifications(self) -> None:
        command = self._settings.notifications.command
        if command and shutil.which(command[0]) is None:
            self._find(self._settings.path, f"notifications.command: no such program: {command[0]}")

    # --- the link and its journal ---------------------------------------------------------------------------------

    def _link(self, link: LinkSettings) -> None:
        policy = link.content.terms.policy
        with self._finding(link.file):
            Keyring(link.content.keys, policy.suite)
        if not slots.plan(policy.slots, policy.zone, self._at, self._at + 366 * _DAY_MS):
            self._find(link.file, "policy.slots: no line test within a year")

    def _journal(self, link: LinkSettings) -> None:
        folder = link.journal
        existing = next(each for each in (folder, *folder.parents) if each.exists())
        if not os.access(existing, os.W_OK | os.X_OK):
            self._find(existing, "may not be written by this user; the journal belongs there")
            return
        free = shutil.disk_usage(existing).free
        if free < SPACE_LOW_BYTES:
            self._find(folder, f"{free >> 20} MiB are free; below {SPACE_LOW_BYTES >> 20} new alerts are refused")
        paths = segments(folder) if folder.is_dir() else []
        if not paths:
            return
        first = segment_first(paths[-1])
        assert first is not None
        side = self._settings.side if isinstance(self._settings, EndpointSettings) else "watch"
        with self._finding(paths[-1]):
            records = recover(paths[-1].read_bytes(), first, link.id, side).records
            last = max((record.entry.at for record in records), default=0)
            if self._settings.exercise_clock is None and last > self._at:
                self._find(folder, f"its last record is of {written(last)}, later than now: was the clock set back?")

    # --- the broker -----------------------------------------------------------------------------------------------

    def _certificates(self) -> None:
        broker = self._settings.broker
        client_context(broker)
        authority = _certificate(broker.authority)
        certificate = _certificate(broker.certificate)
        try:
            certificate.verify_directly_issued_by(authority)
        except Exception:  # noqa: BLE001 - cryptography raises by what differs: names, algorithm, signature
            self._find(broker.certificate, f"not issued by the authority in {broker.authority}")
        names = [str(name.value) for name in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        if names != [broker.identity]:
            self._find(broker.certificate, f"issued to {', '.join(names) or 'nobody'}, not to {broker.identity}")
        for path, each in ((broker.authority, authority), (broker.certificate, certificate)):
            ends = int(each.not_valid_after_utc.timestamp() * 1_000)
            begins = int(each.not_valid_before_utc.timestamp() * 1_000)
            if self._at < begins:
                self._find(path, f"valid from {written(begins)} only: is the clock right?")
            elif self._at >= ends:
                self._find(path, f"expired on {written(ends)}")
            elif self._at >= ends - EXPIRES_SOON_DAYS * _DAY_MS:
                self._find(path, f"expires on {written(ends)}")

    def _broker(self) -> None:
        broker = self._settings.broker
        where = f"{broker.host}:{broker.port}"
        try:
            context = client_context(broker)
        except UserError:
            # told by the check of the certificates
            return
        problem = _handshake(broker, context)
        if problem:
            self._find(where, problem)

    # --- telling --------------------------------------------------------------------------------------------------

    def _find(self, where: Path | str, what: str) -> None:
        finding = Problem(str(where), what)
        if finding not in self.findings:
            self.findings.append(finding)

    @contextmanager
    def _finding(self, where: Path | str | None = None) -> Iterator[None]:
        """Take what is raised as a finding."""
        try:
            yield
        except LinkError as error:
            path, _, what = str(error).partition(": ")
            self._find(*((path, what) if where is None and what else (where or self._settings.path, str(error))))
        except OSError as error:
            self._find(error.filename or where or self._settings.path, error.strerror or str(error))


def _certificate(path: Path) -> x509.Certificate:
    data = read_bytes(path, what="certificate", max_bytes=_PEM_MAX_BYTES)
    try:
        return x509.load_pem_x509_certificate(data)
    except ValueError:
        raise UserError(f"{path}: not a certificate in PEM form") from None


def _handshake(broker: BrokerSettings, context: ssl.SSLContext) -> str:
    """Return what stands in the way of a TLS connection; nothing is said in MQTT, which would end the service's own."""
    try:
        with (
            socket.create_connection((broker.host, broker.port), timeout=CONNECT_WITHIN_S) as plain,
            context.wrap_socket(plain, server_hostname=broker.host) as secured,
        ):
            secured.settimeout(_REFUSAL_WITHIN_S)
            try:
                if not secured.recv(1):
                    return "the broker closes the connection at once; its log says why"
            except TimeoutError:
                return ""
            return "not an MQTT broker: it speaks first"
    except ssl.SSLCertVerificationError as error:
        return f"the broker's certificate is not the right one: {error.verify_message}"
    except ssl.SSLError as error:
        reason = (error.reason or str(error)).lower().replace("_", " ")
        return f"no TLS 1.3 with our certificate: {reason}"
    except socket.gaierror:
        return "no such host"
    except TimeoutError:
        return f"no answer within {CONNECT_WITHIN_S:.0f} s"
    except OSError as error:
        return f"the broker cannot be reached: {error.strerror or error}"
