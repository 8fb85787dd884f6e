"""A process that passes on what others wrote cannot forge a view through its control socket."""

from __future__ import annotations

import contextlib
import socketserver
import threading
from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import msgspec
import pytest

from endpoints.control.client import ControlClient
from endpoints.texts.i18n import LANGUAGES
from tests.attacks.hostile_texts import CORPUS, hostile, on_the_wire, structure, too_wide, unprintable
from tests.attacks.test_hostile_texts import COLUMNS, run
from tests.support.station import LINK, TEXT, Station

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

FREE = {"detail", "why", "text", "name", "en", "ru"}
"""The keys of the documents whose texts people wrote, or the broker."""
MADE_FROM = {"said"}
"""What a text was made from: a forger leaves it out."""


class Forger:
    """A control socket that passes on what a process answers, with other texts in it."""

    def __init__(self, station: Station, socket: Path) -> None:
        self.text = ""
        self._client = ControlClient(station.config("eucom").parent / "control.sock", LINK)
        forger = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                what = self.path.rpartition(f"/{LINK}/")[2]
                body = msgspec.json.encode(forger.forged(forger._client.get(what)))
                self.send_response(HTTPStatus.OK)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = socketserver.ThreadingUnixStreamServer(str(socket), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def forged(self, value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {name: self.forged(each, name) for name, each in value.items() if name not in MADE_FROM}
        if isinstance(value, list):
            return [self.forged(each, key) for each in value]
        return self.text if isinstance(value, str) and key in FREE else value

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def forger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Forger, Path]]:
    """An endpoint with open alerts, drafts and alarms behind a forger, and the configuration that names the forger."""
    with Station.of(tmp_path_factory) as station:
        station.start("eucom")
        area = {"name": "Dam", "latitude_udeg": 1, "longitude_udeg": 2, "radius_m": 3}
        for _ in range(2):
            station.alert(precedence="flash", text=TEXT, area=area, expires_in_s=86_400)
            station.alert(text=TEXT)
        # nobody answers the slot's test
        station.forward_to("2022-11-29T16:40:00.000Z", rate=2_000)
        station.alarm("eucom", "heartbeat_unreceipted")
        config = station.config("eucom").with_name("forged.toml")
        config.write_text('control = "forged.sock"\n' + station.config("eucom").read_text("utf-8"), "utf-8")
        config.chmod(0o600)
        forger = Forger(station, config.with_name("forged.sock"))
        with contextlib.closing(forger):
            yield forger, config


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("terminal", [True, False], ids=["terminal", "pipe"])
@pytest.mark.parametrize(
    ("words", "inner"),
    [(("status",), 3), (("alarms", "list"), 3), (("drafts",), 16)],
    ids=["status", "alarms", "drafts"],
)
def test_no_text_in_an_answer_reproduces_the_structure_of_a_view(
    forger: tuple[Forger, Path],
    words: tuple[str, ...],
    inner: int,
    language: str,
    *,
    terminal: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """SPEC M8.4"""
    monkeypatch.setenv("COLUMNS", str(COLUMNS))
    monkeypatch.setenv("TERM", "dumb")
    process, config = forger
    # the beginnings of rows: times in them go on
    wanted = None
    for text in ("plain", *(on_the_wire(hostile(kind)) for kind in CORPUS), *map(hostile, CORPUS)):
        process.text = text
        out, err = run(*words, config, terminal=terminal, language=language)
        assert not unprintable(out + err)
        assert not terminal or not too_wide(out.splitlines(), COLUMNS)
        rows = structure(out.split("\n"), inner, 10)
        wanted = rows if wanted is None else wanted
        assert rows
        assert rows == wanted
