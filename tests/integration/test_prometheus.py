"""A real Prometheus loads the rules, scrapes a real endpoint, fires what it should, and has what the panels show."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import yaml

from tests.support.broker_site import free_port
from tests.support.station import LINK, Station

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
DEPLOYED = ROOT / "deploy" / "prometheus"


def panels() -> list[str]:
    """Return every expression of the dashboard, its variables filled in, and without what hides a zero."""
    written = json.loads((DEPLOYED.parent / "grafana" / "deconfliction-link.json").read_text())["panels"]
    expressions = [target["expr"] for panel in written for target in panel["targets"]]
    for variable, value in (("$__rate_interval", "1m"), ("$link", ".+"), ("> 0", ">= 0")):
        expressions = [each.replace(variable, value) for each in expressions]
    return expressions


class Prometheus:
    """Prometheus on the rules and the configuration of the repository, with targets of its own, each second."""

    def __init__(self, folder: Path, *targets: int) -> None:
        self.port = free_port()
        config = yaml.safe_load((DEPLOYED / "prometheus.yml").read_text())
        config["global"] |= {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
        config["rule_files"] = [str(DEPLOYED / "rules.yml")]
        config["scrape_configs"][0]["static_configs"] = [{"targets": [f"127.0.0.1:{port}" for port in targets]}]
        path = folder / "prometheus.yml"
        path.write_text(yaml.safe_dump(config))
        self._log = (folder / "prometheus.log").open("wb")
        self.process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={path}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{self.port}",
            ],
            stdout=self._log,
            stderr=self._log,
        )

    def ask(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v1/{path}", timeout=10) as answer:
            return json.load(answer)["data"]

    def answers(self) -> bool:
        with suppress(OSError):
            return bool(self.ask("status/buildinfo"))
        return False

    def alerts(self) -> set[tuple[str, str]]:
        """Return the name and the state of each alert."""
        return {(each["labels"]["alertname"], each["state"]) for each in self.ask("alerts")["alerts"]}

    def rule_health(self) -> set[str]:
        return {rule["health"] for rule in self.ask("rules")["groups"][0]["rules"]}

    def purposes(self) -> list[tuple[str, str]]:
        """Return each link with what it is for."""
        found = self.ask("query?query=deconflict_link_info")["result"]
        return [(each["metric"]["link"], each["metric"]["kind"]) for each in found]

    def finds(self, expression: str) -> bool:
        """Return whether an expression finds any series."""
        return bool(self.ask(f"query?{urlencode({'query': expression})}")["result"])

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(30)
        self._log.close()


@pytest.fixture
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    with Station.of(tmp_path_factory) as station:
        yield station


def test_a_real_prometheus_loads_the_rules_and_fires_them(station: Station, tmp_path: Path) -> None:
    port, dead = free_port(), free_port()
    station.start("eucom", DECONFLICT_HEALTH_PORT=str(port))
    prometheus = Prometheus(tmp_path, port, dead)
    try:
        station.until(prometheus.answers)
        (group,) = prometheus.ask("rules")["groups"]
        written = yaml.safe_load((DEPLOYED / "rules.yml").read_text())["groups"][0]["rules"]
        assert [rule["name"] for rule in group["rules"]] == [rule["alert"] for rule in written]

        station.until(lambda: ("DeconflictionWatchdog", "firing") in prometheus.alerts())
        station.until(lambda: ("DeconflictionNotScraped", "pending") in prometheus.alerts())
        assert ("DeconflictionNotReady", "pending") not in prometheus.alerts()
        station.until(lambda: prometheus.rule_health() == {"ok"})
        station.until(lambda: prometheus.purposes() == [(LINK, "exercise")])

        # no image of Grafana is at hand: this is what its panels would show
        assert len(panels()) > 20
        station.each(panels(), prometheus.finds)

        station.broker.stop()
        station.until(lambda: ("DeconflictionNotReady", "pending") in prometheus.alerts())
        # the exercise's clock brings the alarm of the link itself
        station.forward(40)
        station.until(lambda: ("DeconflictionAlarm", "firing") in prometheus.alerts())
        (alarm,) = [
            each for each in prometheus.ask("alerts")["alerts"] if each["labels"].get("code") == "broker_unreachable"
        ]
        assert alarm["annotations"]["runbook_url"].endswith("/operations.md#broker_unreachable")
        assert alarm["labels"]["severity"] == "critical"
    finally:
        prometheus.close()
