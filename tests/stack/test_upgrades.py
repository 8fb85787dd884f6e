"""Later versions: volumes of an earlier layout, changed code, and Compose v1.29."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stack.compose import (
    BUILD_AND_START_WITHIN_S,
    DOCKER_SOCKET,
    OURS,
    SIDES,
    Compose,
    clone,
    eventually,
    project,
    require_image,
)
from tests.support.engine import EngineError, docker, require_engine

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]

HERE = Path(__file__).parent
EARLIER = HERE / "earlier" / "docker-compose.yml"


def marked(folder: Path) -> str:
    """Change the code in `folder`; return the command that shows whether it runs."""
    name = f"marker_{secrets.token_hex(4)}"
    (folder / "endpoints" / f"{name}.py").write_text('"""A change."""\n', "utf-8")
    return f"python3 -c 'import endpoints.{name}'"


def test_an_earlier_stack_is_taken_over_and_changed_code_runs(tmp_path: Path) -> None:
    require_engine()
    folder = clone(tmp_path / "link")
    with project(folder) as (present, name):
        earlier = Compose(name, folder, ["docker", "compose", "--file", str(EARLIER)])
        earlier.up()
        link = earlier.shell("eucom", "cat link.toml")
        with earlier.begin("eucom", *_alert("eucom/endpoint.toml")) as alert:
            reference = (alert.communicate(timeout=60)[0] or "").strip()
        assert earlier.shell("eucom", "ls -d eucom/journal/*/ eucom/control.sock").split()

        present.up()
        docker("rmi", "--no-prune", "link-test-earlier")
        logs = present("logs", "provision")
        for party in OURS:
            assert f"{party}: journal/eucom-ndmc was moved into the volume {party}-journal" in logs
            # nothing is left beside the keys
            left = docker(
                *("run", "--rm", "--volume", f"{present.volume(party)}:/old:ro", "--entrypoint", "find"),
                *(f"{name}-provision", "/old", "-path", "*journal/*", "-o", "-type", "s"),
            )
            assert left == ""
        assert present.shell("eucom", "cat link.toml") == link
        for side in SIDES:
            assert reference in present.deconflict(side, "messages", "--json")
            present.deconflict(side, "log", "verify", f"{side}/journal/eucom-ndmc")
        present.exchange()

        command = marked(folder)
        with pytest.raises(EngineError, match="No module named"):
            present.shell("eucom", command)
        present.up()
        present.shell("eucom", command)
        assert reference in present.deconflict("ndmc", "messages", "--json")
        present.exchange(side="ndmc")


def _alert(config: str) -> tuple[str, ...]:
    credential = ("--officer", "watch-1", "--credential-file", "eucom/keys/officers/watch-1.credential")
    texts = ("--text", "en=Earlier.", "--text", "ru=Раньше.")
    options = ("--category", "stray_munition", "--precedence", "priority", *texts, *credential)
    return ("deconflict", "alert", config, *options, "--wait", "received")


@pytest.fixture(scope="module")
def version_one() -> Iterator[str]:
    """Yield the name of an image with Compose v1.29."""
    require_engine()
    require_image("debian:bookworm-slim")
    name = f"link-test-compose-v1-{secrets.token_hex(4)}"
    docker("build", "--quiet", "--tag", name, str(HERE / "v1"))
    yield name
    docker("rmi", "--no-prune", name)


@pytest.mark.nightly
def test_compose_v1_starts_the_stack_and_never_runs_other_code(version_one: str, tmp_path: Path) -> None:
    folder = clone(tmp_path / "link")
    run = ("docker", "run", "--rm", "--volume", f"{DOCKER_SOCKET}:{DOCKER_SOCKET}", "--volume", f"{folder}:{folder}")
    with project(folder, (*run, "--workdir", str(folder), version_one)) as (compose, _):
        assert "version 1.29" in docker("run", "--rm", version_one, "version")
        compose("up", "--detach", within_s=BUILD_AND_START_WITHIN_S)
        eventually(lambda: {compose.health(each) for each in OURS} == {"healthy"}, "all are healthy")
        compose.exchange()

        command = marked(folder)
        compose("stop")
        with pytest.raises(EngineError):
            compose("up", "--detach", within_s=BUILD_AND_START_WITHIN_S)
        said = compose("logs", "--tail", "1", "provision")
        assert "built from other files than the present ones; build it: docker-compose build" in said
        compose("build", within_s=BUILD_AND_START_WITHIN_S)
        compose("up", "--detach", within_s=BUILD_AND_START_WITHIN_S)
        eventually(lambda: {compose.health(each) for each in OURS} == {"healthy"}, "all are healthy")
        compose.shell("eucom", command)
        compose.exchange(side="ndmc")
