from __future__ import annotations

from pathlib import Path

import pytest

from broker import atomic_files, configuration, files, pairs, requests
from broker.changes import FileChanges
from broker.errors import BrokerError
from broker.pki import Authority, private_pem
from tests.support import foreign_pki
from tests.support.broker_site import now


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    own = tmp_path / "broker"
    (own / "tls").mkdir(parents=True)
    Authority.make(tmp_path / "authority", now()).issue_server(own / "tls", now())
    configuration.write(own, {"eucom-ndmc": ("eucom", "ndmc")})
    return own


def again(folder: Path) -> None:
    Authority.load(folder.parent / "authority").issue_server(folder / "tls", now())


def installing(folder: Path) -> None:
    """Leave the folder as a crash leaves it after the certificate was installed, before its key was renamed."""
    key = foreign_pki.key()
    asked = requests.make(key, "broker", ("localhost",), now())
    made = Authority.load(folder.parent / "authority").sign(requests.read(asked, at=""), now())
    tls = folder / "tls"
    atomic_files.replace(tls / "server.key.next", private_pem(key), atomic_files.PRIVATE_MODE)
    atomic_files.replace(tls / "server.csr", asked, atomic_files.PUBLIC_MODE)
    atomic_files.replace(tls / "server.crt", files.pem(made), atomic_files.PUBLIC_MODE)


def test_a_replaced_file_counts_after_two_equal_looks(folder: Path) -> None:
    changes = FileChanges(folder)
    assert not changes.look()
    installing(folder)
    assert not changes.look()
    installing(folder)
    # another one in the meantime
    assert not changes.look()
    assert [changes.look(), changes.look()] == [True, False]
    atomic_files.replace(folder / "acl", b"user eucom\n", 0o600)
    assert [changes.look(), changes.look(), changes.look()] == [False, True, False]


def test_another_authority_or_configuration_counts_too(folder: Path) -> None:
    changes = FileChanges(folder)
    other = Authority.make(folder.parent / "other", now()).certificate
    path = folder / "tls" / "ca.crt"
    atomic_files.replace(path, path.read_bytes() + files.pem(other), atomic_files.PUBLIC_MODE)
    assert [changes.look(), changes.look(), changes.look()] == [False, True, False]
    configuration.write(folder, {"eucom-ndmc": ("eucom", "ndmc")}, port=8884)
    assert [changes.look(), changes.look()] == [False, True]


def test_an_installation_that_was_cut_short_is_finished(folder: Path) -> None:
    changes = FileChanges(folder)
    installing(folder)
    assert [changes.look(), changes.look()] == [False, True]
    tls = folder / "tls"
    assert not (tls / "server.key.next").exists()
    assert not (tls / "server.csr").exists()
    assert pairs.key_for((tls / "server.crt").read_bytes(), tls / "server.key") == tls / "server.key"
    installing(folder)
    FileChanges(folder)
    assert pairs.key_for((tls / "server.crt").read_bytes(), tls / "server.key") == tls / "server.key"


@pytest.mark.parametrize("name", ["tls/server.crt", "tls/ca.crt", "acl", "mosquitto.conf"])
@pytest.mark.parametrize("how", ["gone", "cut", "folder"])
def test_files_that_mosquitto_could_not_use_are_reported_once(folder: Path, name: str, how: str) -> None:
    changes = FileChanges(folder)
    path = folder / name
    data = path.read_bytes()
    path.unlink()
    if how == "cut" and name.startswith("tls"):
        path.write_bytes(data[:-60])
    elif how == "folder":
        path.mkdir()
    elif how == "cut":
        return
    assert not changes.look()
    with pytest.raises(BrokerError, match=path.name):
        changes.look()
    assert not changes.look()


def test_a_pair_that_does_not_fit_is_reported(folder: Path) -> None:
    changes = FileChanges(folder)
    key = folder / "tls" / "server.key"
    again(folder)
    atomic_files.replace(key, private_pem(foreign_pki.key()), atomic_files.PRIVATE_MODE)
    assert not changes.look()
    with pytest.raises(BrokerError, match=r"server\.key: not the private key of"):
        changes.look()
