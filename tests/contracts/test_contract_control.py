"""A real endpoint, a real watch and real notifications keep to their contracts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from endpoints.clocks.clock import SystemClock
from endpoints.control.application import Control
from endpoints.control.requests import ACTIONS
from endpoints.keys.officer_credentials import OfficerCredentials
from endpoints.runtime.console_screens import ConsoleScreens
from endpoints.runtime.reloading import Reloaded
from tests.contracts.validators import committed, faults, part, validator
from tests.support.hand_turned import LINK as HAND_TURNED
from tests.support.hand_turned import Machine
from tests.support.station import ALL, LINK, TEXT, Station

HERE = f"/v1/links/{LINK}"
integration = pytest.mark.integration


async def no_reload() -> Reloaded:
    raise AssertionError


def test_the_document_has_the_routes_of_the_application(tmp_path: Path) -> None:
    machine = Machine(tmp_path, "eucom")
    runners, real_ms = {HAND_TURNED: machine.runner}, SystemClock().real_ms
    screens = ConsoleScreens(runners, machine.loop.queue, real_ms, configured=False)
    control = Control(
        machine.loop, runners, OfficerCredentials({}, real_ms), SystemClock(), ACTIONS, no_reload, screens
    )
    served = {
        (re.sub(r":\w+}", "}", route.path), method.lower())  # type: ignore[attr-defined]
        for route in control.application.routes
        for method in route.methods - {"HEAD"}  # type: ignore[attr-defined]
    }
    documented = {(path, method) for path, each in committed("openapi.json")["paths"].items() for method in each}
    link = "/v1/links/{link}"
    actions = {(f"{link}/{action}", "post") for action in ACTIONS}
    assert documented == served - {(f"{link}/{{action}}", "post")} | actions


@pytest.fixture(scope="module")
def notices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("notices") / "notices.jsonl"


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory, notices: Path) -> Iterator[Station]:
    with Station.of(tmp_path_factory) as station:
        for name in ALL:
            config = station.config(name)
            command = json.dumps(["/bin/sh", "-c", f"cat >> {notices}"])
            config.write_text(config.read_text().replace("[notifications]", f"[notifications]\ncommand = {command}"))
        station.start(*ALL)
        yield station


def socket(station: Station, name: str) -> httpx.Client:
    transport = httpx.HTTPTransport(uds=str(station.config(name).parent / "control.sock"))
    return httpx.Client(transport=transport, base_url="http://control", timeout=30)


def valid(schema: str, answer: httpx.Response | str) -> Any:
    """Return what an answer says, which its schema describes to the last field."""
    document = json.loads(answer if isinstance(answer, str) else answer.content)
    assert not faults(part("openapi.json", schema, strict=True), document), document
    return document


@integration
def test_the_answers_of_a_real_control_socket_are_valid(station: Station) -> None:
    credential = station.credential("eucom", "watch-1")
    act = {"officer": "watch-1", "credential": credential}
    alert = {"category": "air_pursuit", "precedence": "flash", "text": TEXT, "expires_in_s": 600}
    with socket(station, "eucom") as eucom:
        valid("Links", eucom.get("/v1/links"))
        draft = valid("Done", eucom.post(f"{HERE}/alert", json={"request": "request-1", **act, **alert}))["reference"]
        assert draft == "draft/1"
        item = valid("DraftAnswer", eucom.get(f"{HERE}/items/draft/1"))
        second = {"officer": "watch-2", "credential": station.credential("eucom", "watch-2"), "seen": item["seen"]}
        released = {"request": "request-2", **second, "draft": 1}
        sent = valid("Done", eucom.post(f"{HERE}/release", json=released))["reference"]
        station.settled()
        valid("Status", eucom.get(f"{HERE}/status"))
        snapshot = valid("Snapshot", eucom.get(f"{HERE}/snapshot"))
        assert snapshot["alerts"]
        assert snapshot["drafts_ended"]
        valid("ItemAnswer", eucom.get(f"{HERE}/items/{sent}"))
        ladders = eucom.get(f"{HERE}/progress/{sent}", params={"within": "0"}).text.splitlines()
        assert [valid("Ladder", line)["reference"] for line in ladders] == [sent]
        with eucom.stream("GET", f"{HERE}/events") as lines:
            kinds = set()
            for line in lines.iter_lines():
                kinds.add(valid("StateOrBeat", line)["kind"])
                if kinds == {"state", "beat"}:
                    break
        assert eucom.post("/v1/console", json={"console": "console-1", "screens": 1, "armed": 1}).json() == {}
        valid("Reloaded", eucom.post("/v1/reload"))
        begun = {"request": "request-3", "session": "session-1", "role": "board"}
        valid("Done", eucom.post(f"{HERE}/log-in", json=begun))
        problems = (
            (400, eucom.post(f"{HERE}/alert", content=b"{")),
            (403, eucom.post(f"{HERE}/test", json={"request": "request-4", "officer": "watch-1"})),
            (404, eucom.get(f"{HERE}/items/eucom/1/99")),
            (404, eucom.get("/v1/links/other/status")),
            (404, eucom.get("/v1/nothing")),
            (409, eucom.post(f"{HERE}/release", json={"request": "request-5", **second, "draft": 1})),
            (413, eucom.post(f"{HERE}/alert", content=b" " * 70_000)),
        )
        for code, answer in problems:
            assert answer.status_code == code
            valid("RequestProblem", answer)
    station.until(lambda: station.alert_state("ndmc", sent) is not None)
    with socket(station, "ndmc") as ndmc:
        of = {"officer": "duty-1", "credential": station.credential("ndmc", "duty-1"), "of": sent}
        answer = ndmc.post(f"{HERE}/acknowledge", json={"request": "request-1", **of, "decision": "will_reply"})
        valid("Done", answer)
        valid("Snapshot", ndmc.get(f"{HERE}/snapshot"))
        again = ndmc.post(f"{HERE}/acknowledge", json={"request": "request-2", **of, "decision": "acting"})
        if again.status_code != 200:
            valid("RequestProblem", again)
    with socket(station, "watch") as watch:
        valid("Status", watch.get(f"{HERE}/status"))
        valid("Snapshot", watch.get(f"{HERE}/snapshot"))
        valid("Alarms", watch.get(f"{HERE}/alarms"))


@integration
def test_a_lost_broker_is_valid_too(station: Station, notices: Path) -> None:
    station.broker.stop()
    station.alarm("eucom", "broker_unreachable")
    with socket(station, "eucom") as eucom:
        valid("Status", eucom.get(f"{HERE}/status"))
        valid("Snapshot", eucom.get(f"{HERE}/snapshot"))
        assert valid("Alarms", eucom.get(f"{HERE}/alarms"))["alarms"]
    station.broker.start()
    station.cleared("eucom", "broker_unreachable")
    station.settled()
    station.until(lambda: station.snapshot("eucom")["notifications_pending"] == 0)
    told = [json.loads(line) for line in notices.read_text().splitlines()]
    assert {each["kind"] for each in told} >= {"alarm", "message"}
    assert not [found for each in told if (found := faults(validator("notification.schema.json", strict=True), each))]
