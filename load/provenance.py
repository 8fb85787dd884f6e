"""Where figures come from: the command, the versions, the machine, and how busy it was."""

from __future__ import annotations

import os
import platform
import ssl
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from msgspec import Struct

from broker.errors import BrokerError
from broker.local import find
from endpoints.clocks.clock import SystemClock
from protocol.wire.instants import written

_PACKAGES = ("deconfliction-link", "paho-mqtt", "aiomqtt", "msgspec", "cryptography", "hdrhistogram")
_ROOT = Path(__file__).parents[1]
_WITHIN_S = 10


class Machine(Struct, frozen=True, kw_only=True):
    """The machine: figures of two machines are not compared."""

    processor: str
    cores: int
    memory_mib: int
    system: str
    # of the journals' folder
    file_system: str


class Provenance(Struct, frozen=True, kw_only=True):
    """Where the figures of one run come from."""

    command: str
    at: str
    seed: int
    # of the repository, with + for changes since; empty outside a repository
    commit: str
    versions: dict[str, str]
    machine: Machine
    load_average: tuple[float, float, float]


def provenance(command: str, seed: int, folder: Path) -> Provenance:
    """Return where figures that begin now come from; `folder` has the journals."""
    return Provenance(
        command=command,
        at=written(SystemClock().now()[0]),
        seed=seed,
        commit=_commit(),
        versions=versions(),
        machine=machine(folder),
        load_average=os.getloadavg(),
    )


def machine(folder: Path) -> Machine:
    """Return this machine; `folder` decides which file system."""
    return Machine(
        processor=_field(Path("/proc/cpuinfo"), "model name") or platform.machine(),
        cores=len(os.sched_getaffinity(0)),
        memory_mib=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20,
        system=f"{platform.system()} {platform.release()}",
        file_system=_file_system(folder),
    )


def versions() -> dict[str, str]:
    """Return the versions of what figures depend on."""
    found = {"python": platform.python_version(), "openssl": ssl.OPENSSL_VERSION.split()[1]}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    try:
        mosquitto = _output([find(), "-h"])
        found["mosquitto"] = mosquitto.partition("\n")[0].removeprefix("mosquitto version ")
    except BrokerError:
        pass
    return found


def _commit() -> str:
    if not (_ROOT / ".git").exists():
        return ""
    commit = _output(["git", "-C", str(_ROOT), "rev-parse", "--short=12", "HEAD"]).strip()
    changed = _output(["git", "-C", str(_ROOT), "status", "--porcelain", "--untracked-files=no"]).strip()
    return f"{commit}+" if commit and changed else commit


def _output(command: list[str]) -> str:
    """Return what a program prints, empty if it can't be run."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_WITHIN_S)  # noqa: S603 - our own
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout


def _field(path: Path, name: str) -> str:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")


def _file_system(folder: Path) -> str:
    """Return the kind of the file system that `folder` lies on, such as ext4."""
    place, best, kind = str(folder.absolute()), "", ""
    try:
        mounts = Path("/proc/mounts").read_text().splitlines()
    except OSError:
        return ""
    for mount in mounts:
        _, point, found, *_ = mount.split()
        under = place == point or place.startswith(point.rstrip("/") + "/")
        if under and len(point) >= len(best):
            best, kind = point, found
    return kind
