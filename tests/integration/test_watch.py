"""The watch sends its dead-man's ping only while it watches everything, and signs the heads of its journal."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import msgspec
import pytest

from endpoints.control.client import RequestRefused
from tests.support.station import ALL, Station

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


class Listener:
    """A web server that counts pings, in place of the service that raises an alarm when they cease."""

    def __init__(self) -> None:
        self.pings = 0
        self.answer = 200
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                assert self.path == "/ping/secret"
                listener.pings += 1
                self.send_response(listener.answer)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = Listener()
    yield listener
    listener.server.shutdown()
    listener.server.server_close()


def test_the_ping_is_sent_only_while_all_is_watched(
    tmp_path_factory: pytest.TempPathFactory, listener: Listener
) -> None:
    with Station.of(tmp_path_factory) as station:
        url = f"http://127.0.0.1:{listener.server.server_port}/ping/secret"
        with station.config("watch").open("a", encoding="utf-8") as file:
            file.write(f'\n[dead_man]\nurl = "{url}"\nevery = "1s"\n')
        station.start("watch")
        station.until(lambda: listener.pings >= 2)

        listener.answer = 500
        assert "it answers 500" in station.alarm("watch", "sink_failing/dead_man")["detail"]
        assert b"secret" not in station.output("watch")

        station.broker.stop()
        station.until(lambda: bool(station.status("watch")["broker"] == "disconnected"))
        pings = listener.pings
        # one ping may have been on its way; in the time after it, two more would be due
        station.until(lambda: len(station.records("watch", "TransportLost")) >= 1)
        station.forward(2.5, rate=1)
        assert listener.pings <= pings + 1

        station.broker.start()
        station.until(lambda: listener.pings >= pings + 3)
        listener.answer = 200
        station.cleared("watch", "sink_failing/dead_man")


def test_the_officers_of_the_watch_prove_themselves(tmp_path_factory: pytest.TempPathFactory) -> None:
    """SPEC P1.5: as at an endpoint. A watch without officers runs, and nobody acknowledges its alarms."""
    with Station.of(tmp_path_factory) as station:
        station.start("watch")
        station.broker.stop()
        station.until(lambda: bool(station.status("watch")["broker"] == "disconnected"))
        # the broker is away for longer than it may
        station.forward(200)
        station.until(lambda: bool(station.alarms("watch")))
        code, subject = next(iter(station.alarms("watch"))).split("/", 1)
        ask = {"code": code, "subject": subject}

        for officer in ("mickey-mouse", "observer-1", "watch-1"):
            with pytest.raises(RequestRefused, match="is not enrolled here") as refused:
                station.act("watch", officer, "acknowledge-alarm", credential="abcdefgh", **ask)
            assert refused.value.code == "not_authorised"
        with pytest.raises(RequestRefused, match="credential is missing: expected"):
            station.client("watch").act("acknowledge-alarm", {"officer": "mickey-mouse", **ask})
        with pytest.raises(RequestRefused, match="the watch accepts no officer commands"):
            station.act("watch", "observer-1", "take-watch")
        assert station.act("watch", "observer-1", "acknowledge-alarm", **ask) == f"{code}/{subject}"

        (acknowledged,) = station.records("watch", "AlarmAcknowledged")
        (roster,) = station.records("watch", "OfficersEnrolled")
        assert acknowledged["officer"] == "observer-1"
        assert list(roster["officers"]) == ["observer-1"]
        assert station.records("watch", "CredentialsRefused")
        assert station.stop("watch") == 0

        # as earlier versions made it
        path = station.config("watch")
        path.write_text(path.read_text("utf-8").partition("[officers")[0], "utf-8")
        station.launch("watch")
        station.until(lambda: station.answers("watch"))
        with pytest.raises(RequestRefused, match="no officer is enrolled here, so nobody can acknowledge an alarm"):
            station.act("watch", "observer-1", "acknowledge-alarm", **ask)
        assert station.records("watch", "OfficersEnrolled")[-1]["officers"] == {}
        assert station.stop("watch") == 0
        run = station.deconflict("log", "verify", str(station.journal("watch")), "--json")
        assert run.returncode == 0, run.stdout


def test_after_a_kill_the_next_start_signs_what_was_left(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The parties and the watch; all of it is vouched for under the link file, and nothing without the watch's key."""
    with Station.of(tmp_path_factory) as station:
        station.start(*ALL)
        station.until(lambda: bool(station.alert()))
        station.each(ALL, lambda name: bool(station.records(name, "FrameReceived")))
        for name in ALL:
            assert not station.records(name, "HeadSigned")
            station.kill(name)
        station.start(*ALL)
        for name in ALL:
            records = station.records(name)
            (head,) = (record for record in records if record["event"] == "HeadSigned")
            before = records[head["n"] - 2]
            assert before["event"] == "BatchClosed"
            assert "Started" in {record["event"] for record in records if record["batch"] == before["batch"]}
            station.kill(name)
        # nothing but the heads and what followed them
        file = ("--link-file", str(station.link_file()))
        journals = [str(station.journal(name)) for name in ALL]
        run = station.deconflict("log", "verify", *journals, *file, "--json")
        assert run.returncode == 0, run.stdout
        assert all(each["vouched_for"] > 10 for each in msgspec.json.decode(run.stdout))
        run = station.deconflict("reconcile", *journals[:2], "--watch", journals[2], *file)
        assert run.returncode == 0, run.stdout


def test_a_head_is_signed_within_the_time_of_the_exercise(tmp_path_factory: pytest.TempPathFactory) -> None:
    """At a hundred times the speed of real time: one head for ten minutes of the journal, and none for a quiet hour."""
    with Station.of(tmp_path_factory) as station:
        station.start("watch")
        station.forward(11 * 60)
        station.until(lambda: len(station.records("watch", "HeadSigned")) == 1)
        first, *_ = station.records("watch", "BatchClosed")
        (head,) = station.records("watch", "HeadSigned")
        assert 600_000 <= head["mono"] - first["mono"] < 900_000
        assert station.stop("watch") == 0
