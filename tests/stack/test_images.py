"""The images: two builds of the same files have the same content, and the definition builds for both architectures."""

import hashlib
import json
import secrets
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.stack.compose import clone
from tests.support.engine import docker, require_engine

pytestmark = [pytest.mark.stack, pytest.mark.nightly, pytest.mark.timeout(1_800)]

ROOT = Path(__file__).parents[2]
TARGETS = ("link", "load")
SIZE_MAX_BYTES = {"link": 200 << 20, "load": 400 << 20}
OF_THE_ENGINE = ("dev", "proc", "sys", ".dockerenv", "etc/hosts", "etc/hostname", "etc/resolv.conf", "etc/mtab")
"""What a container has besides the files of its image."""

File = tuple[bytes, int, int, int, str, str, int]
"""Kind, mode, owner, group, target of a link, SHA-256 of the content, and time of change; of folders, no time."""


def files(image: str) -> dict[str, File]:
    """Return every file of an image."""
    found: dict[str, File] = {}
    container = docker("create", image).strip()
    try:
        with subprocess.Popen(["docker", "export", container], stdout=subprocess.PIPE) as exporting:
            assert exporting.stdout is not None
            with tarfile.open(fileobj=exporting.stdout, mode="r|") as archive:
                for member in archive:
                    content = archive.extractfile(member) if member.isreg() else None
                    digest = "" if content is None else hashlib.sha256(content.read()).hexdigest()
                    # an engine may make a folder of a COPY with the time of the build
                    changed = 0 if member.isdir() else int(member.mtime)
                    owners = member.uid, member.gid
                    found[member.name] = (member.type, member.mode, *owners, member.linkname, digest, changed)
        assert exporting.returncode == 0
    finally:
        docker("rm", container)
    return {name: file for name, file in found.items() if not name.startswith(OF_THE_ENGINE)}


@pytest.mark.parametrize("target", TARGETS)
def test_two_builds_have_the_same_content(target: str, tmp_path: Path) -> None:
    require_engine()
    name = f"link-test-image-{secrets.token_hex(4)}"
    images = [f"{name}:{number}" for number in (1, 2)]
    try:
        for image in images:
            # in a folder of its own, as another clone
            folder = clone(tmp_path / image.rpartition(":")[2])
            docker("build", "--no-cache", "--quiet", "--target", target, "--tag", image, str(folder), within_s=1_200)
        first, second = map(files, images)
        size = json.loads(docker("image", "inspect", images[0]))[0]["Size"]
    finally:
        for image in images:
            docker("rmi", "--force", image)
    assert len(first) > 1_000
    assert {path for path in first.keys() | second.keys() if first.get(path) != second.get(path)} == set()
    assert size < SIZE_MAX_BYTES[target]


def test_the_definition_builds_both_images_for_both_architectures() -> None:
    if subprocess.run(["docker", "buildx", "version"], capture_output=True, check=False).returncode:
        pytest.skip("this machine's Docker has no buildx")
    printed = subprocess.run(
        ["docker", "buildx", "bake", "--print"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    targets = json.loads(printed)["target"]
    assert set(targets) == set(TARGETS)
    for target in targets.values():
        assert target["platforms"] == ["linux/amd64", "linux/arm64"]
