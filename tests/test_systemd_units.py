"""The systemd units: valid, confined, and true to the command line."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

UNITS = sorted((Path(__file__).parent.parent / "deploy" / "systemd").glob("*.service"))
EXPOSURE_MAX = 20
"""In tenths, of 100: what `systemd-analyze security` calls OK."""


def service(path: Path) -> dict[str, list[str]]:
    """Return the settings of a unit's section [Service], each with all its values."""
    section = path.read_text("utf-8").split("[Service]\n")[1].split("\n[")[0]
    found: dict[str, list[str]] = {}
    for line in section.splitlines():
        if line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def installed(path: Path, folder: Path) -> Path:
    """Return a copy of a unit that starts the command of this environment."""
    name = path.name.replace("@.", "@eucom.")
    command = Path(sys.executable).with_name("deconflict")
    (folder / name).write_text(path.read_text("utf-8").replace("/usr/local/bin/deconflict", str(command)), "utf-8")
    return folder / name


def analyze(*arguments: str) -> str:
    """Return what `systemd-analyze` prints; fail if it finds something wrong."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    done = subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_a_unit_is_valid(path: Path, tmp_path: Path) -> None:
    copy = installed(path, tmp_path)
    # of this unit alone: the machine's own may have faults
    assert copy.name not in analyze("verify", str(copy))


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_a_unit_is_confined(path: Path, tmp_path: Path) -> None:
    arguments = ("security", "--offline=true", "--no-pager", f"--threshold={EXPOSURE_MAX}")
    found = analyze(*arguments, str(installed(path, tmp_path)))
    assert re.search(r"Overall exposure level for \S+: [01]\.\d OK", found)


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_a_unit_restarts_what_hangs_and_not_what_is_wrongly_installed(path: Path) -> None:
    settings = service(path)
    assert settings["Type"] == ["notify"]
    assert settings["NotifyAccess"] == ["main"]
    assert settings["WatchdogSec"]
    assert settings["Restart"] == ["always"]
    assert settings["RestartPreventExitStatus"] == ["2"]
    assert settings["LogRateLimitIntervalSec"] == ["0"], "the journal of the link goes through it"
    (folder,) = settings["ReadWritePaths"]
    assert Path(folder).parent == Path(settings["WorkingDirectory"][0])


def test_the_units_are_confined_in_the_same_way() -> None:
    parts = {path.read_text("utf-8").split("ReadWritePaths=")[1].split("\n", 1)[1] for path in UNITS}
    assert len(UNITS) == 4
    assert len(parts) == 1


def test_a_console_opens_no_key_and_writes_no_journal() -> None:
    """It parses what browsers send, and runs as the user who owns the control socket, and the keys."""
    (path,) = (each for each in UNITS if "console" in each.name)
    settings = service(path)
    (folder,) = settings["ReadWritePaths"]
    hidden = {each.removeprefix("-") for each in settings["InaccessiblePaths"]}
    assert {f"{folder}/keys", f"{folder}/tls/client.key"} <= hidden
    assert settings["ReadOnlyPaths"] == [f"-{folder}/journal"]


def test_each_unit_has_a_user_of_its_own_but_a_console_that_of_its_side() -> None:
    users = {service(path)["User"][0] for path in UNITS}
    made = (UNITS[0].parent / "deconflict.conf").read_text("utf-8")
    assert users == set(re.findall(r"^u (\S+) ", made, re.MULTILINE))
