"""Sessions of consoles at a running endpoint: proven, journaled, throttled apart from the officers at a prompt."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from typing import Any

import pytest

from endpoints.control.async_client import AsyncControlClient
from endpoints.control.client import RequestRefused
from tests.support.station import LINK, Station

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
WRONG = "x" * 29


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    with Station.of(tmp_path_factory) as station:
        station.start("eucom", "watch")
        yield station


async def asks(station: Station, action: str, name: str = "eucom", **fields: Any) -> dict[str, Any]:
    async with AsyncControlClient(station.config(name).parent / "control.sock") as client:
        return await client.post(LINK, action, {"request": os.urandom(8).hex(), "session": "session-1", **fields})


async def tells(station: Station, **fields: Any) -> dict[str, Any]:
    async with AsyncControlClient(station.config("eucom").parent / "control.sock") as client:
        return await client.tell("console", {"console": "console-1", **fields})


async def test_an_officer_logs_in_with_their_credential_and_out_without(station: Station) -> None:
    right = station.credential("eucom", "watch-1")
    assert await asks(station, "log-in", officer="watch-1", credential=right) == {"reference": "session/session-1"}
    await asks(station, "log-out", officer="watch-1", why="log-out")
    began, ended = station.records("eucom", "SessionBegan")[-1], station.records("eucom", "SessionEnded")[-1]
    assert (began["session"], began["role"], began["officer"]) == ("session-1", "officer", "watch-1")
    assert (ended["session"], ended["officer"], ended["why"]) == ("session-1", "watch-1", "log-out")
    assert right.encode() not in b"".join(path.read_bytes() for path in station.journal("eucom").glob("*.jsonl"))


@pytest.mark.parametrize("role", ["board", "investigator"])
async def test_a_board_and_an_investigator_have_no_credential(station: Station, role: str) -> None:
    await asks(station, "log-in", role=role)
    began = station.records("eucom", "SessionBegan")[-1]
    assert (began["role"], "officer" in began) == (role, False)
    await asks(station, "log-out", role=role, why="ended")


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({}, "not_authorised"),
        ({"officer": "watch-1"}, "not_authorised"),
        ({"credential": WRONG}, "not_authorised"),
        ({"officer": "watch-1", "role": "board"}, "wrong_event"),
        ({"role": "king"}, "bad_request"),
        ({"role": "board", "session": "x"}, "bad_request"),
    ],
)
async def test_any_other_log_in_is_refused(station: Station, fields: dict[str, Any], code: str) -> None:
    before = len(station.records("eucom", "SessionBegan"))
    with pytest.raises(RequestRefused) as refused:
        await asks(station, "log-in", **fields)
    assert refused.value.code == code
    assert len(station.records("eucom", "SessionBegan")) == before


async def test_the_watch_has_no_sessions(station: Station) -> None:
    with pytest.raises(RequestRefused, match="the watch accepts no officer commands"):
        await asks(station, "log-in", name="watch", role="board")


async def test_wrong_credentials_are_counted_as_a_console_s_and_name_no_officer(station: Station) -> None:
    said = set()
    for officer in ("watch-1", "nobody"):
        with pytest.raises(RequestRefused, match="with this credential is not enrolled here") as refused:
            await asks(station, "log-in", officer=officer, credential=WRONG, session=f"session-{officer}")
        said.add(str(refused.value).replace(officer, ""))
    assert len(said) == 1
    station.until(lambda: len(station.records("eucom", "CredentialsRefused")) >= 2)
    sources = {each["source"] for each in station.records("eucom", "CredentialsRefused")}
    assert sources == {f"uid-{os.geteuid()}/console"}
    # who types at a prompt does not wait for them
    async with asyncio.timeout(60):
        await asyncio.to_thread(station.alert)


async def test_a_console_says_what_it_shows(station: Station) -> None:
    assert await tells(station, sessions=1, screens=2, armed=1) == {}
    assert await tells(station, closing=True) == {}
    for wrong in ({"armed": -1}, {"screens": "many"}, {"console": "x"}, {"mood": "good"}):
        with pytest.raises(RequestRefused, match="not a valid request for this action"):
            await tells(station, **wrong)
