"""Edits of the settings: what stays, what is refused, and what an error leaves."""

from __future__ import annotations

import os
import resource
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import tomlkit
from tomlkit import TOMLDocument

from endpoints.config import settings, toml_edit
from endpoints.errors import UserError
from endpoints.keys import credentials
from tests.support.installation import installed

HASH = credentials.hash_credential("correct horse battery")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    officers = {side: ["watch-1", "watch-2"] for side in ("eucom", "ndmc")}
    return installed(tmp_path / "site", officers=officers) / "eucom" / "endpoint.toml"


def add(path: Path, name: str) -> None:
    with toml_edit.editing(path) as document:
        toml_edit.put(document, "officers", name, {"name": name, "credential": HASH})


def change(path: Path, act: Callable[[TOMLDocument], object]) -> None:
    with toml_edit.editing(path) as document:
        act(document)


def names(path: Path) -> list[str]:
    return list(settings.load_endpoint(path, {}).officers)


def leftovers(path: Path) -> list[str]:
    return [each.name for each in path.parent.iterdir() if each.name.startswith(".")]


def test_comments_order_mode_and_owner_stay(path: Path) -> None:
    text = path.read_text("utf-8").replace("[broker]", "# the new broker, since May\n[broker]")
    path.write_text(f"{text}# the end\n", "utf-8")
    before = path.stat()

    add(path, "watch-3")

    assert path.read_text("utf-8").startswith(f"{text}# the end\n")
    assert names(path) == ["watch-1", "watch-2", "watch-3"]
    after = path.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert leftovers(path) == []


LINKS = '[[links]]\nfile = "../link.toml"\njournal = "journal/eucom-ndmc"\n'
BROKER = """[broker]
host = "127.0.0.1"
authority = "tls/ca.crt"
certificate = "tls/client.crt"
key = "tls/client.key"
"""


@pytest.mark.parametrize(
    "rest",
    [
        f'officers = {{ watch-1 = {{ credential = "{HASH}" }} }}\n{LINKS}{BROKER}',
        f'officers.watch-1.credential = "{HASH}"\n{LINKS}{BROKER}',
        f'{LINKS}[officers]\nwatch-1 = {{ credential = "{HASH}" }} # inline\n{BROKER}',
        f'{LINKS}[officers]\nwatch-1.credential = "{HASH}"\n{BROKER}',
        f'{LINKS}[officers.watch-1]\r\ncredential = "{HASH}"\r\n{BROKER}',
        f'{LINKS}[officers.watch-1]\ncredential = "{HASH}"\n{BROKER}[officers.watch-2]\ncredential = "{HASH}"\n# end',
        f'[officers]\n{LINKS}{BROKER}[officers.watch-1]\ncredential = "{HASH}"',
    ],
    ids=["inline", "dotted", "inline entry", "dotted entry", "crlf", "apart", "no last newline"],
)
def test_officers_may_be_written_in_every_form_of_toml(path: Path, rest: str) -> None:
    path.write_bytes(f'\ufeffside = "eucom"\n{rest}'.encode())
    before = names(path)

    add(path, "watch-3")
    assert set(names(path)) == {*before, "watch-3"}

    with toml_edit.editing(path) as document:
        for name in before:
            del document["officers"][name]
    assert names(path) == ["watch-3"]


def test_what_does_not_load_is_not_written(path: Path) -> None:
    before = path.read_bytes()

    with pytest.raises(UserError, match=r"endpoint\.toml: officers\.x\.credential: not a hashed credential"):
        change(path, lambda document: toml_edit.put(document, "officers", "x", {"credential": "secret"}))
    with pytest.raises(UserError, match=r"no such file: .*gone\.toml; the link file belongs to this installation"):
        change(path, lambda document: document["links"][0].update({"file": "../gone.toml"}))
    with pytest.raises(UserError, match=r"endpoint\.toml: would be larger than 1048576 bytes"):
        change(path, lambda document: document.add(tomlkit.comment("x" * 1_048_576)))
    with pytest.raises(UserError, match=r"endpoint\.toml: officers: none"):
        change(path, lambda document: document.remove("officers"))

    assert path.read_bytes() == before
    assert leftovers(path) == []


def test_an_unfinished_installation_can_be_edited(path: Path) -> None:
    (path.parent.parent / "link.toml").unlink()

    add(path, "watch-3")

    assert "[officers.watch-3]" in path.read_text("utf-8")
    with pytest.raises(UserError, match="colour: unknown key"):
        change(path, lambda document: document.update({"colour": "red"}))


def test_an_error_of_the_caller_leaves_the_file(path: Path) -> None:
    before = path.stat()

    with pytest.raises(ZeroDivisionError):
        change(path, lambda document: document.update({"control": 1 / 0}))

    after = path.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_file_open_to_others_gets_no_officers(path: Path) -> None:
    path.chmod(0o640)

    with pytest.raises(UserError, match="make it private: chmod 600"):
        add(path, "watch-3")


def test_edits_at_once_lose_nothing(path: Path) -> None:
    ids = [f"officer-{n}" for n in range(8)]
    threads = [threading.Thread(target=add, args=(path, name)) for name in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert set(names(path)) == {"watch-1", "watch-2", *ids}


def test_a_change_by_an_editor_meanwhile_is_not_overwritten(path: Path) -> None:
    with pytest.raises(UserError, match=r"endpoint\.toml: changed by somebody meanwhile; try again"):
        change(path, lambda _document: path.write_bytes(path.read_bytes() + b"# by hand\n"))

    assert path.read_bytes().endswith(b"# by hand\n")


def test_an_edit_is_undone_unless_somebody_else_has_changed_the_file_since(path: Path) -> None:
    before = path.read_bytes()
    add(path, "watch-3")
    toml_edit.put_back(path, before, path.read_bytes())
    assert path.read_bytes() == before

    add(path, "watch-3")
    after = path.read_bytes()
    add(path, "watch-4")
    with pytest.raises(UserError, match="changed by somebody meanwhile, so that what was refused is still in it"):
        toml_edit.put_back(path, before, after)
    assert names(path) == ["watch-1", "watch-2", "watch-3", "watch-4"]


def test_the_file_behind_a_symbolic_link_is_replaced(path: Path, tmp_path: Path) -> None:
    # its paths are relative to the folder of the link
    store = tmp_path / "store"
    store.mkdir()
    real = path.rename(store / "eucom.toml")
    path.symlink_to(real)

    add(path, "watch-3")

    assert path.readlink() == real
    assert "watch-3" in names(path)
    assert list(store.iterdir()) == [real]


@pytest.mark.parametrize("target", ["nowhere.toml", "endpoint.toml"])
def test_a_link_that_leads_nowhere_is_one_line(path: Path, target: str) -> None:
    path.unlink()
    path.symlink_to(target)

    with pytest.raises(UserError, match=r"endpoint\.toml"):
        add(path, "watch-3")


def test_a_full_disk_leaves_the_old_file(path: Path) -> None:
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 10, limits[1]))
    try:
        with pytest.raises(UserError, match=r"endpoint\.toml: cannot be written: File too large"):
            add(path, "watch-3")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert path.read_bytes() == before
    assert leftovers(path) == []


def test_what_a_killed_edit_left_is_replaced(path: Path) -> None:
    (path.parent / ".endpoint.toml.new").write_bytes(b"half")

    add(path, "watch-3")

    assert "watch-3" in names(path)
    assert leftovers(path) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file to another user")
def test_the_owner_keeps_a_file_that_root_edits(path: Path) -> None:
    os.chown(path, 65_534, 65_534)

    add(path, "watch-3")

    assert (path.stat().st_uid, path.stat().st_gid, path.stat().st_mode & 0o777) == (65_534, 65_534, 0o600)
