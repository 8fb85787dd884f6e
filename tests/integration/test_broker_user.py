"""Where root starts the broker, it runs as a user of its own, and reaches no key but its own."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker import owner
from broker.errors import BrokerError
from broker.local import find
from broker.owner import Owner, hand_over
from tests.support.broker_site import BrokerSite

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root starts a broker under another user"),
]
STRANGER = Owner(12_345, 12_346)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[BrokerSite]:
    try:
        find()
    except BrokerError as error:
        pytest.skip(str(error))
    site = BrokerSite(tmp_path)
    yield site
    site.close()


def ids(pid: int, what: str) -> list[int]:
    """Return a line of numbers in the kernel's status of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return [int(each) for line in lines if line.startswith(f"{what}:") for each in line.split()[1:]]


def owners(folder: Path) -> set[Owner]:
    found = [path.stat() for path in (folder, *folder.rglob("*"))]
    return {Owner(each.st_uid, each.st_gid) for each in found}


def test_the_broker_is_not_root_and_keeps_no_group_of_root(site: BrokerSite) -> None:
    with site.broker:
        assert site.broker.pid is not None
        (user,) = set(ids(site.broker.pid, "Uid"))
        (group,) = set(ids(site.broker.pid, "Gid"))
        assert user != 0 != group
        assert ids(site.broker.pid, "Groups") == []
        limits = Path(f"/proc/{site.broker.pid}/limits").read_text()
        assert [line.split()[4:6] for line in limits.splitlines() if line.startswith("Max core")] == [["0", "0"]]
        assert owners(site.folder / "broker") == {Owner(user, group)}
    # a second start, on what the first has written
    with site.broker:
        assert set(ids(site.broker.pid, "Uid")) == {user}
    assert {stat.S_IMODE(path.stat().st_mode) for path in (site.folder / "broker" / "data").iterdir()} <= {0o600}


def test_the_authority_stays_roots(site: BrokerSite) -> None:
    with site.broker:
        assert owners(site.folder / "authority") == {Owner(0, 0)}
        assert stat.S_IMODE((site.folder / "authority" / "ca.key").stat().st_mode) == 0o600


def test_a_folder_that_belongs_to_somebody_decides_who_the_broker_is(site: BrokerSite) -> None:
    folder = site.folder / "broker"
    for path in (folder, *folder.rglob("*")):
        os.chown(path, *STRANGER)
    with site.broker:
        assert site.broker.pid is not None
        assert set(ids(site.broker.pid, "Uid")) == {STRANGER.user}
        assert set(ids(site.broker.pid, "Gid")) == {STRANGER.group}


def test_only_files_of_the_broker_are_given_away(tmp_path: Path) -> None:
    folder = tmp_path / "broker"
    (folder / "tls").mkdir(parents=True)
    (folder / "authority").mkdir()
    secret = tmp_path / "secret"
    for path in (secret, folder / "acl", folder / "tls" / "server.key", folder / "authority" / "ca.key"):
        path.touch()
    (folder / "link").symlink_to(secret)
    os.link(secret, folder / "other-name")
    (folder / "data").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe")
    os.chown(folder, *STRANGER)

    with pytest.raises(BrokerError, match="cannot be given to the broker's user"):
        hand_over(folder)
    (folder / "data").unlink()
    assert hand_over(folder) == STRANGER

    given = {path.name for path in (folder, *folder.rglob("*")) if path.lstat().st_uid == STRANGER.user}
    assert given == {"broker", "acl", "tls", "server.key"}
    assert secret.stat().st_uid == 0


def test_without_a_user_for_it_the_broker_does_not_start(site: BrokerSite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owner, "USERS", ("no-such-user",))
    with pytest.raises(BrokerError, match="this machine has none of the users no-such-user; add one"):
        site.broker.start()
    assert not site.broker.alive
