"""A wrongly installed service refuses to start with a one-line error; the control socket rejects bad requests."""

import json
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from endpoints.config import link_file
from endpoints.failpoints import VARIABLE
from tests.support.station import Station

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    with Station.of(tmp_path_factory) as station:
        station.start("eucom")
        station.stop("eucom")
        yield station


def refused(station: Station, code: int = 2, failpoint: str = "") -> str:
    """Start eucom, wait until it exits with `code`, and return its one-line error."""
    running = station.launch("eucom", **{VARIABLE: failpoint})
    assert running.wait() == code
    station.processes.pop("eucom")
    errors = running.errors()
    assert errors.count("\n") == 1, errors
    assert errors.startswith("deconflict: ")
    return errors


def test_a_second_service_on_a_journal_or_socket_is_refused(station: Station) -> None:
    station.start("eucom")
    again = station.deconflict("run", str(station.config("eucom")))
    assert again.returncode == 2
    assert "already running" in again.stderr
    other = station.config("eucom").with_name("other.toml")
    other.write_text('control = "other.sock"\n' + station.config("eucom").read_text())
    other.chmod(0o600)

    second = station.deconflict("run", str(other))

    assert second.returncode == 2
    assert "another service writes this journal" in second.stderr
    assert not other.with_name("other.sock").exists()
    assert station.status("eucom")["broker"] == "connected"
    station.stop("eucom")


def open_key(station: Station) -> Callable[[], object]:
    key = next(station.config("eucom").parent.glob("keys/*.pem"))
    key.chmod(0o640)
    return lambda: key.chmod(0o600)


def foreign_key(station: Station) -> Callable[[], object]:
    own, other = (next(station.config(side).parent.glob("keys/*.pem")) for side in ("eucom", "ndmc"))
    moved = own.rename(own.with_suffix(".kept"))
    copy = shutil.copy(other, own.parent / other.name)

    def mend() -> None:
        moved.rename(own)
        Path(copy).unlink()

    return mend


def open_folder(station: Station) -> Callable[[], object]:
    folder = station.config("eucom").parent
    folder.chmod(0o750)
    return lambda: folder.chmod(0o700)


def no_socket(station: Station) -> Callable[[], object]:
    path = station.config("eucom").parent / "control.sock"
    path.write_text("not a socket")
    return path.unlink


def changed_policy(station: Station) -> Callable[[], object]:
    before = station.link_file().read_bytes()
    content = link_file.load(station.link_file())
    policy = msgspec.structs.replace(content.terms.policy, grace_s=60)
    terms = msgspec.structs.replace(content.terms, policy=policy)
    link_file.save(msgspec.structs.replace(content, terms=terms), station.link_file())
    return lambda: station.link_file().write_bytes(before)


def actual_link(station: Station) -> Callable[[], object]:
    before = station.link_file().read_bytes()
    content = link_file.load(station.link_file())
    policy = msgspec.structs.replace(content.terms.policy, status="actual")
    terms = msgspec.structs.replace(content.terms, policy=policy, epoch=2)
    link_file.save(msgspec.structs.replace(content, terms=terms), station.link_file())
    return lambda: station.link_file().write_bytes(before)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (open_key, "is open to others (mode 0640); make it private: chmod 600"),
        (foreign_key, "is among those that"),
        (open_folder, "the control socket's folder is open to others (mode 0750); make it private: chmod 700"),
        (no_socket, "not a socket, and the control socket belongs here"),
        (changed_policy, "a changed policy needs the next epoch: put the file back, and use deconflict link amend"),
        (actual_link, "only links whose status is exercise may use it"),
    ],
)
def test_wrong_files_give_a_one_line_error(
    station: Station, spoil: Callable[[Station], Callable[[], object]], said: str
) -> None:
    records = station.records("eucom")
    mend = spoil(station)
    try:
        assert said in refused(station)
        assert station.records("eucom") == records
    finally:
        mend()


def test_a_damaged_journal_is_refused_and_not_changed(station: Station) -> None:
    (segment,) = station.journal("eucom").glob("*.jsonl")
    before = segment.read_bytes()
    started = station.records("eucom", "Started")[0]["n"]
    segment.write_bytes(before.replace(b'"Started"', b'"Stareed"', 1))

    assert f"record {started}" in refused(station, code=4)
    assert segment.read_bytes() == before.replace(b'"Started"', b'"Stareed"', 1)
    segment.write_bytes(before)


def test_an_unknown_failpoint_is_refused(station: Station) -> None:
    assert f"{VARIABLE}: no failpoint 'after_lunch'" in refused(station, failpoint="after_lunch")


def test_the_socket_of_a_dead_process_is_replaced(station: Station) -> None:
    station.start("eucom")
    station.kill("eucom")
    assert (station.config("eucom").parent / "control.sock").is_socket()

    station.start("eucom")

    assert station.status("eucom")["broker"] == "connected"


# --- the control socket, with raw bytes -----------------------------------------------------------------------------


def raw(station: Station, sent: bytes) -> bytes:
    """Send bytes to the control socket; return what is received until it closes, or nothing if it resets."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        connection.connect(str(station.config("eucom").parent / "control.sock"))
        try:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            answer = b""
            while chunk := connection.recv(65_536):
                answer += chunk
        except ConnectionError:
            return b""
    return answer


def posted(body: bytes, action: str = "alert", headers: str = "") -> bytes:
    head = f"POST /v1/links/eucom-ndmc/{action} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "bad_request"),
        (b"{}", 400, "bad_request"),
        (b"null", 400, "bad_request"),
        (b"[" * 50_000, 400, "bad_request"),
        (b"\x00\xff\xfe" * 100, 400, "bad_request"),
        ('{"request": "12345678"}'.encode("utf-16"), 400, "bad_request"),
        (b'{"request": "\xff\xff\xff\xff\xff\xff\xff\xff"}', 400, "bad_request"),
        (b"x" * 70_000, 413, "too_large"),
        (b"x" * 3_000_000, 413, "too_large"),
    ],
)
def test_an_invalid_body_is_refused(station: Station, body: bytes, status: int, code: str) -> None:
    answer = raw(station, posted(body))

    if answer:  # the connection may be reset during a far too large body, before the answer is read
        head, _, document = answer.partition(b"\r\n\r\n")
        assert head.startswith(f"HTTP/1.1 {status}".encode())
        assert json.loads(document)["code"] == code
    assert station.status("eucom")["broker"] == "connected"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x00" * 100 + b"\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 404),
        (b"GET /v1/links/eucom-ndmc/alert HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 405),
        (b"GET /v1/links/%ff%fe/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 404),
        (b"GET /v1/links/" + b"x" * 60_000 + b" HTTP/1.1\r\n\r\n", 400),
        (b"GET /v1/links HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 60_000, 400),
        (posted(b"{}", "explode"), 404),
        (posted(b"{}", "../../status"), 404),
    ],
)
def test_an_invalid_request_is_refused(station: Station, sent: bytes, status: int) -> None:
    answer = raw(station, sent)

    assert answer.startswith(f"HTTP/1.1 {status}".encode()), answer[:200]
    assert station.status("eucom")["broker"] == "connected"
