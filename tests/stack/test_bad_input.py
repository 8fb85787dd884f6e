"""What an operator may get wrong, and what may fail: each has one clear line in the right log, and its health."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from tests.stack.compose import BUILD_AND_START_WITHIN_S, OURS, SIDES, Compose, clone, eventually, project
from tests.support.engine import EngineError, docker, require_engine

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

DISK_BYTES, LEFT_BYTES = 160 << 20, 32 << 20
OVERRIDE = """
services:
  eucom:
    healthcheck: {start_period: 5s}
    environment: {DECONFLICT_EXERCISE_CLOCK: "%s"}
  watch:
    healthcheck: {start_period: 5s}
"""
"""What fails is judged soon; the clock of eucom comes later."""
CLOCK = """
import time
from pathlib import Path
from endpoints.clocks.exercise_table import ExerciseTable
boot = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000
ExerciseTable.begin(boot, int(time.time() * 1_000) + 3_600_000, 1).write(Path("eucom/clock.json"))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    require_engine()
    return clone(tmp_path_factory.mktemp("faulty") / "link")


def provision(compose: Compose, *command: str) -> str:
    """Run the service `provision`; return what it said, also if it refused."""
    try:
        compose("run", "--rm", "-T", "provision", *command, within_s=BUILD_AND_START_WITHIN_S)
    except EngineError as error:
        return next(line for line in str(error).splitlines() if line.startswith("provision: "))
    return ""


def test_a_missing_volume_is_said_with_its_remedy(folder: Path) -> None:
    with project(folder) as (compose, _):

        def lost(*volumes: str) -> str:
            docker("volume", "rm", *(compose.volume(name) for name in volumes))
            return provision(compose)

        assert provision(compose) == ""
        said = lost("ndmc-journal")
        assert said.startswith("provision: ndmc: the volume ndmc-journal is empty, but ndmc has run before: restore it")
        remedy = said.partition("docker compose run --rm provision ")[2].split()
        assert provision(compose, *remedy) == provision(compose) == ""
        assert lost("broker") == ""
        assert lost("eucom-run") == ""
        assert lost("broker", "authority").startswith(
            "provision: broker: files are missing in its volume, and the auth"
        )
        # a backup is taken and put back
        image = f"{compose.project}-provision"
        aside = ("--volume", f"{compose.volume('watch')}:/from", "--volume", f"{compose.project}_aside:/to")
        docker("run", "--rm", "--user", "0:0", *aside, "--entrypoint", "cp", image, "-a", "/from/.", "/to")
        docker("volume", "rm", f"{compose.project}_aside")
        for volume, file in (("watch", "watch/watch.toml"), ("public", "link.toml (of the volume public)")):
            assert f"{file}; other volumes hold an installation: restore the volume from a backup" in lost(volume)


@pytest.fixture(scope="module")
def faulty(folder: Path) -> Iterator[Compose]:
    """Yield a stack whose eucom keeps its journal on a small disk in memory."""
    with project(folder) as (compose, name):
        volume = compose.volume("eucom-journal")
        labels = {"project": name, "volume": "eucom-journal", "version": "2"}
        docker(
            *("volume", "create", "--opt", "type=tmpfs", "--opt", "device=tmpfs", "--opt", f"o=size={DISK_BYTES}"),
            *(word for key, value in labels.items() for word in ("--label", f"com.docker.compose.{key}={value}")),
            volume,
        )
        (folder / "docker-compose.override.yml").write_text(OVERRIDE % "", "utf-8")
        compose("build", within_s=BUILD_AND_START_WITHIN_S)
        # as long as it is mounted, its content stays
        holding = docker(
            "run", "--detach", "--volume", f"{volume}:/held", "--entrypoint", "sleep", f"{name}-eucom", "900"
        )
        try:
            compose.up()
            yield compose
        finally:
            docker("rm", "--force", holding.strip())


def said(compose: Compose, service: str, words: str) -> bool:
    """Return whether a service's log has the words."""
    return words in compose("logs", "--no-log-prefix", service)


def test_a_full_disk_stops_the_link_until_there_is_space(faulty: Compose) -> None:
    fill = f"fallocate -l {DISK_BYTES - LEFT_BYTES} eucom/journal/filler"
    faulty.shell("eucom", fill)
    eventually(lambda: "space_low" in faulty.alarms("eucom"), "eucom reports the space that is left")
    with faulty.alert() as alert:
        assert alert.wait(timeout=60) != 0
    # receipts and acknowledgements have the rest
    becomes(faulty, "eucom", "healthy")

    faulty.shell("eucom", "dd if=/dev/zero of=eucom/journal/more bs=64k 2>/dev/null || true")
    eventually(lambda: _stopped(faulty), "the link has stopped", within_s=120)
    eventually(lambda: faulty.health("eucom") == "unhealthy", "the container is unhealthy", within_s=120)
    assert said(faulty, "eucom", "No space left on device")

    faulty.shell("eucom", "rm eucom/journal/filler eucom/journal/more")
    eventually(lambda: faulty.health("eucom") == "healthy", "the container is healthy again", within_s=120)
    eventually(lambda: "space_low" not in faulty.alarms("eucom"), "eucom reports space again")
    faulty.exchange()


def _stopped(compose: Compose) -> bool:
    """Return whether eucom's link has stopped. Something has to be written for that: ndmc sends until it is so."""
    with compose.alert(side="ndmc") as alert:
        alert.wait(timeout=60)
    return "journal_failure" in compose.alarms("eucom")


def becomes(compose: Compose, service: str, state: str) -> None:
    """Wait until a service's container has a state of health."""
    eventually(lambda: compose.health(service) == state, f"{service} is {state}", within_s=120)


def not_connected(compose: Compose, service: str) -> str:
    """Return why a service says that it is not connected."""
    return {reason["code"]: str(reason["text"]) for reason in compose.status(service)["reasons"]}["not_connected"]


def test_a_wrong_certificate_and_a_wrong_address_are_said_and_unhealthy(faulty: Compose, tmp_path: Path) -> None:
    # the address of the watch has a typo
    faulty.shell("watch", "cp -p watch/watch.toml watch/kept; sed -i 's/^host = .*/host = \"brokr\"/' watch/watch.toml")
    issued = trustme.CA().issue_cert(common_name="eucom")
    issued.private_key_pem.write_to_path(tmp_path / "client.key")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "client.crt")
    files = ("client.key", "client.crt")
    faulty.shell("eucom", f"cd eucom/tls; for file in {' '.join(files)}; do cp -p $file $file.kept; done")
    for name in files:
        text = (tmp_path / name).read_text()
        faulty.shell("eucom", f"cat >eucom/tls/{name} <<'END'\n{text}\nEND")
    faulty("restart", "eucom", "watch")
    eventually(lambda: said(faulty, "broker", "certificate verify failed"), "the broker says what is wrong")
    for service in ("eucom", "watch"):
        becomes(faulty, service, "unhealthy")
    assert "certificate" in not_connected(faulty, "eucom")
    # a resolver says that there is no such name, or nothing
    assert re.search(r"the name .* does not (resolve|answer).*: brokr", not_connected(faulty, "watch"))
    for service, words in (("eucom", "may refuse our certificate"), ("watch", ": brokr")):
        assert said(faulty, service, words), service
    becomes(faulty, "ndmc", "healthy")

    faulty.shell("eucom", f"cd eucom/tls; for file in {' '.join(files)}; do mv $file.kept $file; done")
    faulty.shell("watch", "mv watch/kept watch/watch.toml")
    faulty("restart", "eucom", "watch")
    for service in ("eucom", "watch"):
        becomes(faulty, service, "healthy")
    faulty.exchange()


def test_clocks_that_differ_by_an_hour_alarm_both_sides_and_are_healthy(faulty: Compose, folder: Path) -> None:
    faulty.shell("eucom", f"python3 -c '{CLOCK}'")
    (folder / "docker-compose.override.yml").write_text(OVERRIDE % "/link/eucom/clock.json", "utf-8")
    faulty("up", "--detach", within_s=BUILD_AND_START_WITHIN_S)
    eventually(lambda: faulty.connected(*OURS), "all are connected")
    faulty.exchange()
    for side in SIDES:
        eventually(lambda side=side: "clock_skew" in faulty.alarms(side), f"{side} reports it")  # type: ignore[misc]
        becomes(faulty, side, "healthy")
