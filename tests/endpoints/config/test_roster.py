"""Officers are added, removed and reset in the settings, whole or not at all."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from endpoints.config import roster, settings
from endpoints.config.toml_edit import editing
from endpoints.errors import UserError
from endpoints.keys import credentials
from tests.support.installation import installed

HASH = credentials.hash_credential("correct horse battery")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    officers = {side: ["watch-1", "watch-2"] for side in ("eucom", "ndmc")} | {"watch": ["observer-1"]}
    return installed(tmp_path / "site", officers=officers) / "eucom" / "endpoint.toml"


def add(config: Path, *words: str) -> None:
    with editing(config) as document:
        roster.add(config, document, *words)


def reset(config: Path, *words: str) -> None:
    with editing(config) as document:
        roster.reset(config, document, *words)


def remove(config: Path, officer: str) -> None:
    with editing(config) as document:
        roster.remove(config, document, officer)


def officers(config: Path) -> list[str]:
    return list(settings.load(config, {}).officers)


def test_an_officer_is_added_reset_and_removed(config: Path) -> None:
    config.write_bytes(config.read_bytes() + b"# night shift below\n")
    add(config, "watch-3", "Major Weber", HASH)
    assert settings.load(config, {}).officers["watch-3"].name == "Major Weber"

    other = credentials.hash_credential("another credential")
    reset(config, "watch-3", other)
    assert settings.load(config, {}).officers["watch-3"].credential == other

    remove(config, "watch-1")
    assert officers(config) == ["watch-2", "watch-3"]
    assert "# night shift below" in config.read_text("utf-8")


def test_the_last_officer_of_an_endpoint_stays_and_that_of_the_watch_goes(config: Path) -> None:
    remove(config, "watch-1")
    with pytest.raises(UserError, match="watch-2 is the last officer here"):
        remove(config, "watch-2")

    watch = config.parents[1] / "watch" / "watch.toml"
    remove(watch, "observer-1")
    assert officers(watch) == []
    add(watch, "observer-2", "observer-2", HASH)
    assert officers(watch) == ["observer-2"]


def test_an_officer_is_not_added_twice_and_a_stranger_not_removed(config: Path) -> None:
    before = config.read_bytes()
    with pytest.raises(UserError, match="officer watch-1 is enrolled already"):
        add(config, "watch-1", "x", HASH)
    stranger = "no officer 'x' is enrolled here; enrolled: watch-1, watch-2"
    with pytest.raises(UserError, match=stranger):
        remove(config, "x")
    with pytest.raises(UserError, match=stranger):
        reset(config, "x", HASH)
    roster.left_credential(config, "x").touch()
    with pytest.raises(UserError, match=r"officers/x\.credential: already exists"):
        add(config, "x", "x", HASH)

    assert config.read_bytes() == before


def test_a_credential_file_is_new_private_and_written_last(tmp_path: Path) -> None:
    path = tmp_path / "watch-3.credential"

    with pytest.raises(ZeroDivisionError), roster.credential_file(path, "secret"):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []

    with roster.credential_file(path, "secret"):
        assert not path.exists()
    assert credentials.read_credential(path) == "secret"
    assert list(tmp_path.iterdir()) == [path]

    with pytest.raises(UserError, match="already exists"), roster.credential_file(path, "other"):
        pass
    with roster.credential_file(path, "other", replaces=path):
        pass
    assert credentials.read_credential(path) == "other"


def test_a_full_disk_leaves_no_officer_and_no_credential(config: Path, tmp_path: Path) -> None:
    before = config.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 10, limits[1]))
    try:
        with (
            pytest.raises(UserError, match=r"endpoint\.toml: cannot be written: File too large"),
            roster.credential_file(tmp_path / "x", "secret"),
        ):
            add(config, "x", "x", HASH)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert config.read_bytes() == before
    assert not (tmp_path / "x").exists()


def test_a_credential_that_was_left_is_deleted(config: Path) -> None:
    assert roster.forget_credential(config, "watch-1") == ""
    assert not roster.left_credential(config, "watch-1").exists()
    assert roster.forget_credential(config, "watch-1") == ""


@pytest.mark.skipif(os.geteuid() == 0, reason="root may delete everything")
def test_a_credential_that_cannot_be_deleted_is_named(config: Path) -> None:
    left = roster.left_credential(config, "watch-1")
    left.parent.chmod(0o500)
    try:
        assert roster.forget_credential(config, "watch-1") == "Permission denied"
    finally:
        left.parent.chmod(0o700)
