"""The health listener of real processes: from ready over a lost broker to ready, and metrics that follow."""

from __future__ import annotations

import http.client
import re
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from endpoints.metrics import families
from tests.support.broker_site import free_port
from tests.support.station import LINK, SIDES, Station

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

ALL = (*SIDES, "watch")
Values = dict[tuple[str, tuple[tuple[str, str], ...]], float]


class Site:
    """A station whose processes serve their health, each at a port of its own."""

    def __init__(self, station: Station) -> None:
        self.station = station
        self.ports = {name: free_port() for name in ALL}

    def start(self, *names: str) -> None:
        for name in names:
            self.station.start(name, DECONFLICT_HEALTH_PORT=str(self.ports[name]))

    def get(self, name: str, path: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[name], timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def values(self, name: str) -> Values:
        status, text = self.get(name, "/metrics")
        assert status == 200
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def value(self, name: str, sample: str, **labels: str) -> float:
        return self.values(name)[f"deconflict_{sample}", tuple(sorted({"link": LINK, **labels}.items()))]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Station.of(tmp_path_factory) as station:
        site = Site(station)
        site.start("watch")
        site.start(*SIDES)
        yield site


def test_every_family_has_its_series_from_the_start_and_no_other_label(site: Site) -> None:
    for name in ALL:
        values = site.values(name)
        names = {sample for sample, _ in values}
        for family in families.FAMILIES:
            wanted = f"{family.name}_bucket" if family.type == "histogram" else family.name
            assert wanted in names, (name, family.name)
        labels = {label for _, pairs in values for label, _ in pairs}
        assert labels <= {"link", "direction", "code", "severity", "reason", "result", "kind", "precedence", "le"}
    status, text = site.get("eucom", "/metrics")
    assert status == 200
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def test_an_alert_shows_in_the_metrics_of_all_three(site: Site) -> None:
    station = site.station
    reference = station.alert("eucom", precedence="routine")
    station.until(lambda: station.snapshot("eucom")["ours"]["receipted"] >= 1)
    station.until(lambda: site.value("ndmc", "open_alerts", direction="received", precedence="routine") == 1)
    station.until(lambda: site.value("watch", "open_alerts", direction="caller", precedence="routine") == 1)
    station.until(lambda: site.value("eucom", "open_alerts", direction="sent", precedence="routine") == 1)
    station.until(lambda: site.value("eucom", "receipt_seconds_count") >= 1)

    eucom = site.values("eucom")
    sent = (
        "deconflict_messages_total",
        (("direction", "sent"), ("kind", "alert"), ("link", LINK), ("precedence", "routine")),
    )
    assert eucom[sent] == 1
    assert eucom["deconflict_outbox_messages", (("link", LINK),)] == 0
    assert eucom["deconflict_flush_seconds_count", (("link", LINK),)] > 0
    assert eucom["deconflict_link_info", (("kind", "exercise"), ("link", LINK))] == 1
    assert eucom["deconflict_ready", ()] == 1
    assert eucom["deconflict_certificate_end_timestamp_seconds", (("kind", "broker"),)] > 1.7e9
    on_disk = sum(len(path.read_bytes().rstrip(b"\0")) for path in station.journal("eucom").glob("*.jsonl"))
    assert site.value("eucom", "journal_bytes") >= on_disk
    assert reference.startswith("eucom/1/")


def test_a_lost_broker_makes_all_unready_and_none_unhealthy_until_it_is_back(site: Site) -> None:
    station = site.station
    assert [site.get(name, "/readyz") for name in ALL] == [(200, "ready\n")] * 3

    station.broker.stop()

    station.each(ALL, lambda name: site.get(name, "/readyz")[0] == 503)
    for name in ALL:
        assert re.fullmatch(rf"{LINK}: not connected to the broker: .+\n", site.get(name, "/readyz")[1])
        assert site.get(name, "/healthz") == (200, "ok\n")
        assert site.get(name, "/startupz") == (200, "started\n")
    station.until(lambda: site.values("eucom")["deconflict_ready", ()] == 0)
    assert site.value("eucom", "broker_connected") == 0

    station.broker.start()

    station.each(ALL, lambda name: site.get(name, "/readyz") == (200, "ready\n"))


def test_a_scraper_that_never_reads_its_answer_is_one_line_and_makes_nothing_unhealthy(site: Site) -> None:
    said = b"a client of the health listener was dropped"
    with socket.create_connection(("127.0.0.1", site.ports["eucom"])) as scraper:
        scraper.sendall(b"GET /metrics HTTP/1.1\r\nHost: eucom\r\n\r\n")
        site.station.until(lambda: said in site.station.output("eucom"))
        assert [site.get("eucom", path)[0] for path in ("/healthz", "/startupz", "/readyz")] == [200] * 3
    (line,) = [line for line in site.station.output("eucom").splitlines() if said in line]
    assert b"it left its answer unread, or the connection open, for 10 s" in line
    dropped = ("deconflict_health_clients_dropped_total", (("reason", "unread"),))
    assert site.values("eucom")[dropped] == 1


def test_an_address_that_is_taken_is_one_line_and_no_record_is_written(site: Site) -> None:
    station = site.station
    station.stop("watch")
    with socket.create_server(("127.0.0.1", site.ports["watch"])):
        before = b"".join(path.read_bytes() for path in station.journal("watch").glob("*.jsonl"))
        command = [sys.executable, "-m", "endpoints.cli.main", "watch", str(station.config("watch"))]
        done = subprocess.run(
            command,
            env={"DECONFLICT_HEALTH_PORT": str(site.ports["watch"]), "PATH": "/usr/bin"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert f"cannot listen at 127.0.0.1 port {site.ports['watch']}: Address already in use" in done.stderr
    assert b"".join(path.read_bytes() for path in station.journal("watch").glob("*.jsonl")) == before
    site.start("watch")
