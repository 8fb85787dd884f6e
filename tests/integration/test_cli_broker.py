from __future__ import annotations

import json
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from endpoints.config import default_terms, provision
from endpoints.config.settings import load
from endpoints.doctor.examination import Examination
from tests.support.broker_site import free_port, now

pytestmark = pytest.mark.integration


def deconflict(*words: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "endpoints.cli.main", *map(str, words)],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_broker_runs_in_the_foreground_until_a_signal(tmp_path: Path, ending: signal.Signals) -> None:
    port, at = free_port(), now()
    terms = default_terms.terms()
    provision.provision(
        tmp_path / "site",
        [terms],
        {side: default_terms.party(side) for side in (terms.caller, terms.answering)},
        at=at,
        officers=default_terms.OFFICERS,
        broker=provision.BrokerPlan(port=port),
    )

    running = deconflict("broker", tmp_path / "site")
    try:
        assert running.stdout is not None
        for line in running.stdout:
            if '"event":"listening"' in line:
                break
        for name in ("eucom/endpoint.toml", "watch/watch.toml"):
            assert Examination(load(tmp_path / "site" / name, {}), lambda: at).run() == ()
        running.send_signal(ending)
        out, err = running.communicate(timeout=20)
    finally:
        running.kill()

    said = [json.loads(line) for line in out.splitlines()]
    assert [line["event"] for line in said if line["event"] != "mosquitto"] == ["stopping", "stopped"]
    assert err == ""
    assert running.returncode == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)


@pytest.mark.parametrize("name", ["broker", "link.toml", "eucom/endpoint.toml", "eucom"])
def test_another_part_of_the_installation_names_the_right_folder(tmp_path: Path, name: str) -> None:
    home = tmp_path / "my link"
    (home / "broker").mkdir(parents=True)
    (home / "broker" / "mosquitto.conf").write_text("listener 1 127.0.0.1\n", "utf-8")
    (home / "link.toml").write_text("", "utf-8")

    assert deconflict("broker", home / name).communicate(timeout=20) == (
        "",
        f"deconflict: {home / name}: not the folder that `deconflict init` made; "
        "did you mean: " + shlex.join(["deconflict", "broker", str(home)]) + "\n",
    )


def test_a_folder_without_a_broker_gives_a_one_line_error(tmp_path: Path) -> None:
    out, err = deconflict("broker", tmp_path).communicate(timeout=20)

    assert out == ""
    assert err.startswith("deconflict: ")
    assert f"make it from the link files: deconflict broker {tmp_path} --configure LINK_FILE" in err
    assert err.count("\n") == 1
