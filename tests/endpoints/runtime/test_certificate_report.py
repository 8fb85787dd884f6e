"""Reports of certificates: at the start, daily, when another is in use, and on an exercise's clock."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from broker.pki import AUTHORITY_DAYS, LEAF_DAYS, Authority
from endpoints.clocks.clock import SystemClock
from endpoints.config.broker_settings import Address, BrokerSettings
from endpoints.runtime.certificate_report import REPORT_EVERY_MS, CertificateReport
from protocol.core.event_checks import AT_MAX
from protocol.core.events import CertificateSeen
from protocol.wire.instants import Millis, parsed, written
from tests.support.hand_turned import BEGIN, DAY, LINK, HandClock, Machine

REAL, _ = SystemClock().now()


class Site:
    """One endpoint's link in a loop turned by hand, and the certificates of its connection."""

    def __init__(self, folder: Path, *, exercise: bool) -> None:
        self.tls = folder / "tls"
        self.tls.mkdir()
        self.authority = Authority.make(folder / "authority", self.machine_at(exercise=exercise))
        self.machine = HandClock(self.machine_at(exercise=exercise))
        self.issue(LEAF_DAYS)
        settings = BrokerSettings(
            identity="eucom",
            addresses=(Address("127.0.0.1"),),
            authority=self.tls / "ca.crt",
            certificate=self.tls / "client.crt",
            key=self.tls / "client.key",
        )
        self.eucom = Machine(folder, "eucom")
        runners = {LINK: self.eucom.runner}
        self.report = CertificateReport(
            settings, runners, self.eucom.loop.queue, exercise=exercise, machine=self.machine
        )

    @staticmethod
    def machine_at(*, exercise: bool) -> Millis:
        """Return the machine's time: outside of exercises, that of the link."""
        return REAL if exercise else BEGIN

    def issue(self, days: float) -> None:
        """Issue our own certificate and the broker's, so that they end `days` from now."""
        at = round(self.machine.at - (LEAF_DAYS - 1 - days) * DAY)
        self.authority.issue_client("eucom", self.tls, at)
        self.authority.issue_server(self.tls, at)

    @property
    def broker_certificate(self) -> bytes:
        return ssl.PEM_cert_to_DER_cert((self.tls / "server.crt").read_text())

    def seen(self) -> list[tuple[str, int]]:
        """Return the certificates that were reported since the last call: whose, and in how many days they end."""
        taken: list[CertificateSeen] = []
        take = self.eucom.runner.take

        def listen(event: object) -> object:
            if isinstance(event, CertificateSeen):
                taken.append(event)
            return take(event)  # type: ignore[arg-type]

        self.eucom.runner.take = listen  # type: ignore[method-assign,assignment]
        self.eucom.turn()
        self.eucom.runner.take = take  # type: ignore[method-assign]
        return [(each.whose, round((parsed(each.ends_at) - each.at) / DAY)) for each in taken]

    def alarms(self) -> list[str]:
        found = self.eucom.runner.core.snapshot().alarms
        return [each.subject for each in found if each.code == "certificate_expiring" and each.active]


ALL = [("own", LEAF_DAYS), ("authority", AUTHORITY_DAYS - 1), ("broker", LEAF_DAYS)]


@pytest.fixture(params=[False, True], ids=["machine's clock", "exercise"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Site:
    return Site(tmp_path, exercise=request.param)


async def test_each_certificate_is_reported_at_the_start_daily_and_when_another_is_in_use(site: Site) -> None:
    site.report.look()
    assert site.seen() == ALL[:2]
    site.report.connected(site.broker_certificate)
    assert sorted(site.seen()) == ALL[2:]
    site.report.connected(site.broker_certificate)
    assert site.seen() == []

    site.machine.real += REPORT_EVERY_MS - 1
    site.report.look()
    assert site.seen() == []
    site.machine.real += 1
    site.report.look()
    assert [whose for whose, _ in site.seen()] == ["own", "authority", "broker"]

    site.issue(100)
    site.report.look()
    # of the broker's, the one that the connection has shown is in use
    assert site.seen() == [("own", 100)]
    site.report.connected(site.broker_certificate)
    assert site.seen() == [("broker", 100)]
    assert site.alarms() == []


async def test_a_certificate_that_ends_soon_is_an_alarm_until_it_is_renewed(site: Site) -> None:
    site.issue(20)
    site.report.connected(site.broker_certificate)
    site.seen()
    assert site.alarms() == ["broker/30d", "own/30d"]
    site.issue(500)
    site.report.connected(site.broker_certificate)
    site.seen()
    assert site.alarms() == []


async def test_outside_of_exercises_the_end_is_the_certificates_own(tmp_path: Path) -> None:
    site = Site(tmp_path, exercise=False)
    site.report.look()
    site.eucom.turn()
    journal = b"".join(path.read_bytes() for path in site.eucom.folder.glob("*.jsonl"))
    assert f'"whose":"own","ends_at":"{written(BEGIN + LEAF_DAYS * DAY)}"'.encode() in journal
    # valid from a day before it was made
    assert f'"whose":"authority","ends_at":"{written(BEGIN + (AUTHORITY_DAYS - 1) * DAY)}"'.encode() in journal


@pytest.mark.parametrize(("centuries", "ends"), [(-100, AT_MAX), (100, 0)])
async def test_an_end_that_no_exercise_reaches_is_the_last_or_first_that_a_core_takes(
    tmp_path: Path, centuries: int, ends: Millis
) -> None:
    site = Site(tmp_path, exercise=True)
    site.machine.at += centuries * 36_525 * DAY
    site.report.look()
    site.eucom.turn()
    journal = b"".join(path.read_bytes() for path in site.eucom.folder.glob("*.jsonl"))
    assert f'"whose":"own","ends_at":"{written(ends)}"'.encode() in journal


async def test_what_cannot_be_read_is_left_to_the_next_connection(site: Site) -> None:
    (site.tls / "client.crt").unlink()
    (site.tls / "ca.crt").write_bytes(b"-----BEGIN CERTIFICATE-----\n")
    site.report.connected(b"no certificate")
    site.report.connected(None)
    assert site.seen() == []
