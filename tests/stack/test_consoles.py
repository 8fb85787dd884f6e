"""The consoles of the stack: no key, no broker, one port on the host's loopback address, and a board in a browser."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.stack.compose import SIDES, Compose
from tests.support.engine import EngineError

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

CONSOLES = tuple(f"{side}-console" for side in SIDES)


@pytest.fixture(scope="module")
def consoles(running: Compose) -> Iterator[Compose]:
    """Yield the stack with its consoles, which are healthy."""
    running("--profile", "console", "up", "--detach", "--wait", *CONSOLES, within_s=300)
    yield running
    running("--profile", "console", "rm", "--stop", "--force", *CONSOLES)


def test_a_console_sees_journal_and_socket_and_no_key(consoles: Compose) -> None:
    containers = consoles.containers()
    for side in SIDES:
        container = containers[f"{side}-console"]
        mounts = {
            each["Destination"]: (each["RW"], each["Name"].removeprefix(f"{consoles.project}_"))
            for each in container["Mounts"]
            if each["Type"] == "volume"
        }
        assert mounts == {
            "/link": (False, "public"),
            f"/link/{side}": (False, f"{side}-console"),
            f"/link/{side}/journal": (False, f"{side}-journal"),
            f"/link/{side}/run": (True, f"{side}-run"),
            "/link/watch": (False, "watch-console"),
            "/link/watch/run": (True, "watch-run"),
        }
        found = consoles.shell(f"{side}-console", "find /link -name '*.key' -o -name '*.pem' -o -name '*.credential'")
        assert found == ""
        settings = consoles.shell(f"{side}-console", f"cat {side}/endpoint.toml watch/watch.toml")
        assert "credential" not in settings
        assert "scrypt" not in settings
        with pytest.raises(EngineError, match="Read-only file system"):
            consoles.shell(f"{side}-console", f"touch {side}/journal/eucom-ndmc/x")


def test_a_console_is_confined_and_reached_from_this_host_alone(consoles: Compose) -> None:
    containers = consoles.containers()
    for side in SIDES:
        container = containers[f"{side}-console"]
        host = container["HostConfig"]
        assert host["ReadonlyRootfs"]
        assert host["CapDrop"] == ["ALL"]
        assert container["Config"]["User"] == "10001:10001"
        published = [each for each in container["NetworkSettings"]["Ports"].values() if each]
        assert published == [[{"HostIp": "127.0.0.1", "HostPort": str(consoles.console_ports[side])}]]
        assert list(container["NetworkSettings"]["Networks"]) == [f"{consoles.project}_{side}-console"]
        resolved = consoles.shell(f"{side}-console", "getent hosts broker || echo unknown")
        assert resolved.strip() == "unknown"


def test_a_link_to_a_board_opens_it_once(consoles: Compose) -> None:
    for side in SIDES:
        link = consoles.deconflict(f"{side}-console", "console", "board-link").strip()
        assert link.startswith(f"http://localhost:{consoles.console_ports[side]}/board-link/")
        entered = httpx.get(link)
        assert entered.status_code == httpx.codes.SEE_OTHER
        cookie = entered.headers["set-cookie"].partition(";")[0]
        board = httpx.get(link.partition("/board-link")[0] + "/links/eucom-ndmc/board", headers={"cookie": cookie})
        assert board.status_code == httpx.codes.OK
        assert "EXERCISE" in board.text
        assert httpx.get(link).status_code == httpx.codes.NOT_FOUND
