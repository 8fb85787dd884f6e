"""The doctor on a copy of an installation: what it lacks, all at once, and one command for lost permissions."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from endpoints.cli.main import main
from tests.support.broker_site import free_port
from tests.support.installation import installed

LINK_FILE = (
    "the link file belongs to this installation: copy it from the machine where it ran before, or from the other"
)
PRIVATE = "it belongs to this installation: copy it, with its permissions, from the machine where it ran before"


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """Return the folder of a side that was copied without what lies beside it."""
    folder = installed(tmp_path / "made", port=free_port())
    return shutil.copytree(folder / "eucom", tmp_path / "new" / "eucom")


def doctor(folder: Path, capsys: pytest.CaptureFixture[str], *words: str, side: str = "") -> tuple[int, Any, str]:
    """Return the exit code, the findings and standard error."""
    with pytest.raises(SystemExit) as raised:
        main(["doctor", str(folder / (side or "endpoint.toml")), "--json", *words])
    said = capsys.readouterr()
    assert isinstance(raised.value.code, int)
    return raised.value.code, json.loads(said.out)["findings"] if said.out else None, said.err


def test_everything_that_a_copy_lacks_is_reported_at_once(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(copied / "tls")
    shutil.rmtree(copied / "keys")

    code, found, _ = doctor(copied, capsys)

    assert code == 1
    told = {each["where"]: each["remedy"] for each in found}
    assert list(told) == [
        str(copied.parent / "link.toml"),
        *(str(copied / "tls" / name) for name in ("ca.crt", "client.crt", "client.key")),
        str(copied / "keys"),
    ]
    assert told.pop(str(copied.parent / "link.toml")).startswith(LINK_FILE)
    assert set(told.values()) == {PRIVATE}


def test_a_side_that_was_just_enrolled_waits_for_its_certificate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It has never run elsewhere, so there is nothing to copy."""
    with pytest.raises(SystemExit, match="0"):
        main(["enrol", str(tmp_path), "--side", "eucom", "--lang", "en"])
    capsys.readouterr()
    _, found, _ = doctor(tmp_path / "eucom", capsys, "--lang", "en")
    told = {Path(each["where"]).name: each["remedy"] for each in found}
    assert told["ca.crt"] == "the broker's operator has it; compare and install it: deconflict cert trust CONFIG FILE"
    assert told["client.crt"] == "it is still to be signed; then install it: deconflict cert renew CONFIG FILE"


def test_lost_permissions_are_one_finding_with_one_command(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(copied.parents[1] / "made" / "link.toml", copied.parent)
    # as FAT and docker cp leave them
    for path in (copied, *copied.rglob("*")):
        path.chmod(0o755)

    code, found, _ = doctor(copied, capsys)

    assert code == 1
    (modes,) = [each for each in found if each["check"] == "files"]
    assert "private files and folders are open to others" in modes["finding"]
    assert modes["remedy"] == f"make them private: chmod -R go= {copied}"
    for path in (copied, *copied.rglob("*")):
        path.chmod(path.stat().st_mode & 0o700)
    _, found, _ = doctor(copied, capsys)
    assert [each["check"] for each in found] == ["broker"]


def nothing(path: Path) -> None:
    path.unlink()


def no_toml(path: Path) -> None:
    path.write_text("=", "utf-8")


def odd(path: Path) -> None:
    path.write_text('side = 7\nlinks = "x"\nbroker = [1]\nkeys = ["a"]\n', "utf-8")


@pytest.mark.parametrize("wrong", [nothing, no_toml, odd])
def test_what_is_no_configuration_is_refused_as_before(
    copied: Path, capsys: pytest.CaptureFixture[str], wrong: Callable[[Path], None]
) -> None:
    wrong(copied / "endpoint.toml")
    code, found, err = doctor(copied, capsys)
    assert (code, found, err.count("\n")) == (2, None, 1)


def test_another_mistake_is_reported_beside_what_is_missing(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = copied / "endpoint.toml"
    path.write_text("nonsense = 1\n" + path.read_text("utf-8"), "utf-8")
    code, found, _ = doctor(copied, capsys)
    assert code == 1
    assert [each["where"] for each in found] == [str(copied.parent / "link.toml"), str(path)]
    assert "nonsense" in found[1]["finding"]
