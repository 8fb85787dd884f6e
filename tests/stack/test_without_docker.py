"""The built wheel on a bare Debian: installed by pipx and by uv, run by systemd with the units of the repository."""

import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stack.compose import ROOT, eventually, require_image
from tests.support.engine import EngineError, docker, require_engine

pytestmark = [pytest.mark.stack, pytest.mark.nightly, pytest.mark.timeout(900)]

CONSOLE = "deconflict-console@eucom"
UNITS = ("deconflict-broker", "deconflict-endpoint@eucom", "deconflict-endpoint@ndmc", "deconflict-watch", CONSOLE)
_INSTALL = """
export PIPX_HOME=/opt/pipx PIPX_BIN_DIR=/usr/local/bin
pipx install /root/*.whl
cp /root/systemd/*.service /etc/systemd/system/
mkdir -p /usr/lib/sysusers.d
cp /root/systemd/deconflict.conf /usr/lib/sysusers.d/
systemd-sysusers
deconflict init /var/lib/deconflict
cd /var/lib/deconflict
chown -R deconflict: eucom ndmc
chown -R deconflict-watch: watch
chown -R deconflict-broker: broker
systemctl daemon-reload
"""
_ALERT = (
    "cd /var/lib/deconflict; deconflict alert eucom/endpoint.toml --category stray_munition --precedence priority "
    "--text en=Hello. --text ru=Привет. --officer watch-1 --credential-file eucom/keys/officers/watch-1.credential "
    "--wait received --timeout 60s"
)
_BY_UV = """
cd
python3 -m venv uv
uv/bin/pip install --quiet --requirement /tmp/uv.txt
uv/bin/uv tool install --quiet --no-python-downloads /tmp/*.whl
"""


class Machine:
    """A container with systemd as its first process."""

    def __init__(self, name: str) -> None:
        self.name = name

    def run(self, script: str, *, user: str = "root", within_s: int = 300) -> str:
        """Run a script; return its standard output. Raises EngineError."""
        environment = ("--env", "UV_SYSTEM_CERTS=true")
        return docker("exec", "--user", user, *environment, self.name, "bash", "-euc", script, within_s=within_s)

    def shown(self, unit: str, name: str) -> str:
        """Return a property of a unit."""
        return self.run(f"systemctl show --value --property {name} {unit}").strip()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [str(ROOT / ".tools" / "bin" / "uv"), "build", "--quiet", "--wheel", "--out-dir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, timeout=300, capture_output=True)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def machine(wheel: Path) -> Iterator[Machine]:
    require_engine()
    require_image("debian:bookworm-slim")
    image = name = f"link-test-bare-{secrets.token_hex(4)}"
    docker("build", "--quiet", "--tag", image, str(Path(__file__).with_name("bare")))
    # what systemd needs as the first process; not --privileged, which asks for more than some engines may give
    rights: tuple[str, ...] = ("--cap-add", "ALL", "--cap-drop", "SYS_RESOURCE", "--security-opt", "seccomp=unconfined")
    rights += ("--security-opt", "apparmor=unconfined", "--cgroupns", "host")
    rights += ("--volume", "/sys/fs/cgroup:/sys/fs/cgroup:rw", "--tmpfs", "/run", "--tmpfs", "/run/lock")
    docker("run", "--detach", "--name", name, *rights, image)
    try:
        made = Machine(name)

        def up() -> bool:
            try:
                return made.run("systemctl is-system-running || true").strip() in {"running", "degraded"}
            except EngineError:
                return False

        try:
            eventually(up, "systemd runs")
        except AssertionError:
            pytest.skip("systemd does not run in a container of this engine")
        for source, target in ((wheel, "/root/"), (wheel, "/tmp/"), (ROOT / "deploy" / "systemd", "/root/systemd")):
            docker("cp", str(source), f"{name}:{target}")
        docker("cp", str(ROOT / "tools" / "uv.txt"), f"{name}:/tmp/")
        yield made
    finally:
        docker("rm", "--force", "--volumes", name)
        docker("rmi", "--no-prune", image)


def test_the_units_run_what_pipx_has_installed(machine: Machine) -> None:
    machine.run(_INSTALL, within_s=600)
    machine.run(f"systemctl start {' '.join(UNITS)}")
    assert {machine.shown(unit, "ActiveState") for unit in UNITS} == {"active"}
    assert "received by the other side's machine" in machine.run(f"{_ALERT} 2>&1")
    # as its own user, and in Russian
    status = "runuser -u deconflict -- deconflict status ndmc/endpoint.toml --lang ru || [ $? -le 11 ]"
    assert "УЧЕНИЕ" in machine.run(f"cd /var/lib/deconflict; {status}")


def test_a_console_serves_and_sees_no_key(machine: Machine) -> None:
    asked = "python3 -c 'from urllib.request import urlopen; print(urlopen(\"http://localhost:8440/healthz\").read())'"
    assert "ok" in machine.run(asked)
    link = (
        "cd /var/lib/deconflict; runuser -u deconflict -- deconflict console board-link eucom/endpoint.toml 2>/dev/null"
    )
    assert machine.run(link).startswith("http://localhost:8440/board-link/")
    inside = f"nsenter --target {machine.shown(CONSOLE, 'MainPID')} --mount"
    keys = "/var/lib/deconflict/eucom/keys /var/lib/deconflict/eucom/tls/client.key"
    assert "client.key" in machine.run(f"find {keys} -type f -size +0"), "outside, they are there"
    assert machine.run(f"{inside} find {keys} -type f -size +0") == ""
    assert "started" in machine.run(f"journalctl --unit {CONSOLE} --output cat")


def test_what_hangs_is_restarted(machine: Machine) -> None:
    unit = "deconflict-endpoint@ndmc"
    pid = machine.shown(unit, "MainPID")
    machine.run(f"kill -STOP {pid}")
    eventually(lambda: machine.shown(unit, "NRestarts") == "1", "the watchdog has restarted it", within_s=90)
    eventually(lambda: machine.shown(unit, "ActiveState") == "active", "it runs")
    assert "received by the other side's machine" in machine.run(f"{_ALERT} 2>&1")


def test_the_system_journal_holds_the_links_journal(machine: Machine) -> None:
    journal = "cd /var/lib/deconflict; journalctl --unit deconflict-endpoint@eucom --output cat"
    assert "INTACT" in machine.run(f"{journal} | deconflict log verify - --link-file link.toml")
    assert "IDENTICAL" in machine.run(f"{journal} | deconflict replay -")


def test_a_wrong_file_is_said_once_and_not_retried(machine: Machine) -> None:
    unit = "deconflict-endpoint@eucom"
    machine.run(f"systemctl stop {unit}; mv /var/lib/deconflict/link.toml /var/lib/deconflict/away.toml")
    machine.run(f"systemctl start {unit} || true")
    eventually(lambda: machine.shown(unit, "ActiveState") == "failed", "it has failed")
    assert machine.shown(unit, "ExecMainStatus") == "2"
    last = machine.run(f"journalctl --unit {unit} --output cat | grep link.toml | tail -n 1")
    assert "no such file: /var/lib/deconflict/link.toml" in last
    machine.run("mv /var/lib/deconflict/away.toml /var/lib/deconflict/link.toml")
    machine.run(f"systemctl start {unit}")


def test_all_stop_in_order(machine: Machine) -> None:
    machine.run(f"systemctl stop {' '.join(UNITS)}")
    for unit in UNITS:
        assert (machine.shown(unit, "Result"), machine.shown(unit, "ExecMainStatus")) == ("success", "0"), unit


def test_uv_installs_all_that_the_program_needs_for_a_user(machine: Machine) -> None:
    machine.run(_BY_UV, user="duty", within_s=600)
    command = "$HOME/.local/bin/deconflict"
    # templates, catalogues and scenarios are in the wheel
    assert "Вызов: deconflict" in machine.run(f"{command} --lang ru --help", user="duty")
    machine.run(f"cd; {command} init try", user="duty")
    assert "user eucom" in machine.run(f"cd; {command} broker try --print acl", user="duty")
    played = machine.run(f"cd; {command} demo --speed max --keep kept 2>&1", user="duty")
    assert "The scenario ended as it must." in played
