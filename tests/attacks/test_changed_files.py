"""Another user of the machine changes or replaces the files that decide whom a process trusts."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.pki import Authority
from endpoints.clocks.clock import SystemClock
from endpoints.config import default_terms, link_file, provision, settings
from endpoints.doctor.examination import Examination
from endpoints.errors import UserError
from endpoints.keys.private_files import changeable
from tests.support.broker_site import free_port

NOW, _ = SystemClock().now()
STRANGER = 12_345
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another user")
CONFIGS = {"eucom": "eucom/endpoint.toml", "watch": "watch/watch.toml"}
FILES = [
    ("eucom", "link.toml", "link file"),
    ("eucom", "eucom/tls/ca.crt", "certificate"),
    ("eucom", "eucom/tls/client.crt", "certificate"),
    ("watch", "link.toml", "link file"),
    ("watch", "watch/watch.toml", "configuration"),
    ("watch", "watch/tls/ca.crt", "certificate"),
]
FOLDERS = [
    ("eucom", "."),
    ("eucom", "eucom"),
    ("eucom", "eucom/tls"),
    ("eucom", "eucom/keys"),
    ("watch", "."),
    ("watch", "watch"),
    ("watch", "watch/tls"),
]


def make(folder: Path) -> None:
    terms = default_terms.terms()
    provision.provision(
        folder,
        [terms],
        {side: default_terms.party(side) for side in (terms.caller, terms.answering)},
        at=NOW,
        officers=default_terms.OFFICERS,
        # nobody's: at the usual port, a broker of this machine may listen
        broker=provision.BrokerPlan(port=free_port()),
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("changed") / "site"
    make(folder)
    return folder


@pytest.fixture
def site(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "site")
    return tmp_path / "site"


def findings(site: Path, process: str) -> list[str]:
    """Return what the doctor says about the files, but not that no broker runs."""
    found = Examination(settings.load_unchecked(site / CONFIGS[process], {}), lambda: NOW).run()
    return [str(each) for each in found if "cannot be reached" not in each.what]


def refused(site: Path, process: str, expected: str) -> None:
    """Expect that the settings are refused in one line that begins with `expected`, and that the doctor says it."""
    with pytest.raises(UserError) as error:
        settings.load(site / CONFIGS[process], {})
    assert str(error.value).startswith(expected)
    assert "\n" not in str(error.value)
    assert any(line.startswith(expected) for line in findings(site, process))


@pytest.mark.parametrize("process", CONFIGS)
def test_what_init_makes_is_accepted(site: Path, process: str) -> None:
    settings.load(site / CONFIGS[process], {})
    assert findings(site, process) == []


@pytest.mark.parametrize("mode", [0o664, 0o646, 0o666, 0o620])
@pytest.mark.parametrize(("process", "name", "what"), FILES)
def test_a_file_that_decides_trust_and_that_others_may_write(
    site: Path, process: str, name: str, what: str, mode: int
) -> None:
    if name == CONFIGS["watch"]:
        # with officers it has to be private, as an endpoint's has
        with_officers = (site / name).read_text("utf-8")
        (site / name).write_text(with_officers.partition("[officers")[0], "utf-8")
    (site / name).chmod(mode)
    refused(site, process, f"{site / name}: others may change this {what} (mode {mode:04o}); forbid it: chmod go-w ")


@pytest.mark.parametrize("process", CONFIGS)
def test_a_configuration_with_officers_that_others_may_write(site: Path, process: str) -> None:
    (site / CONFIGS[process]).chmod(0o620)
    with pytest.raises(UserError, match=r"configuration is open to others \(mode 0620\); make it private: chmod 600 "):
        settings.load(site / CONFIGS[process], {})


@pytest.mark.parametrize("mode", [0o775, 0o757, 0o777])
@pytest.mark.parametrize(("process", "name"), FOLDERS)
def test_a_folder_in_which_others_may_replace_such_a_file(site: Path, process: str, name: str, mode: int) -> None:
    (site / name).chmod(mode)
    refused(site, process, f"{site / name}: others ")


def test_the_folder_of_the_socket_to_which_officers_send_their_credentials(site: Path) -> None:
    run = site / "run"
    run.mkdir(mode=0o700)
    config = site / CONFIGS["eucom"]
    config.write_text(f'control = "{run}/control.sock"\n' + config.read_text("utf-8"), "utf-8")
    settings.load(config, {})
    run.chmod(0o757)
    refused(site, "eucom", f"{run}: others may change this folder of the control socket (mode 0757)")


@pytest.mark.parametrize(("process", "name"), FOLDERS)
def test_a_sticky_folder_protects_what_others_own(site: Path, process: str, name: str) -> None:
    (site / name).chmod(0o1757 if name == "." else 0o1700)
    settings.load(site / CONFIGS[process], {})


def test_a_folder_further_up_that_anybody_may_write(site: Path) -> None:
    site.parent.chmod(0o757)
    refused(site, "eucom", f"{site.parent}: others can replace what is in this folder (mode 0757)")


def test_a_link_to_a_file_in_a_folder_of_others(site: Path, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    (site / "link.toml").rename(shared / "link.toml")
    (site / "link.toml").symlink_to(shared / "link.toml")
    refused(site, "eucom", f"{shared}: others can replace what is in this folder (mode 0777)")


@pytest.mark.parametrize("name", ["link.toml", "eucom/tls"])
def test_a_link_between_two_links_in_a_folder_of_others(site: Path, tmp_path: Path, name: str) -> None:
    """The first link and the file are safe; the link between them is not."""
    shared, safe = tmp_path / "shared", tmp_path / "safe"
    shared.mkdir()
    safe.mkdir()
    (site / name).rename(safe / "true")
    (shared / "between").symlink_to("../safe/true")
    (site / name).symlink_to(shared / "between")
    settings.load(site / CONFIGS["eucom"], {})
    shared.chmod(0o777)
    refused(site, "eucom", f"{shared}: others can replace what is in this folder (mode 0777)")


@AS_ROOT
def test_a_link_of_another_user_in_a_sticky_folder(site: Path, tmp_path: Path) -> None:
    """The folder keeps everybody from replacing it but its owner."""
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    (shared / "between").symlink_to(site / "true.toml")
    (site / "link.toml").rename(site / "true.toml")
    (site / "link.toml").symlink_to(shared / "between")
    settings.load(site / CONFIGS["eucom"], {})
    os.lchown(shared / "between", STRANGER, STRANGER)
    refused(site, "eucom", f"{shared / 'between'}: this symbolic link belongs to another user (12345)")


@AS_ROOT
@pytest.mark.parametrize(("process", "name", "what"), FILES)
def test_a_file_of_another_user(site: Path, process: str, name: str, what: str) -> None:
    if name == CONFIGS[process]:
        pytest.skip("the owner of the settings is the owner of the process")
    os.chown(site / name, STRANGER, STRANGER)
    refused(site, process, f"{site / name}: this {what} belongs to another user (12345), who can change it")


@AS_ROOT
def test_a_folder_of_another_user(site: Path) -> None:
    os.chown(site, STRANGER, STRANGER)
    refused(site, "watch", f"{site}: this folder belongs to another user (12345), who can replace what is in it")


@AS_ROOT
def test_root_may_look_at_the_files_of_a_service(site: Path) -> None:
    for path in (site / "eucom", *(site / "eucom").rglob("*")):
        os.chown(path, STRANGER, STRANGER)
    settings.load(site / CONFIGS["eucom"], {})


def test_a_file_that_vanishes_is_no_finding(tmp_path: Path) -> None:
    assert list(changeable([(tmp_path / "gone" / "link.toml", "link file")], ())) == []


def test_the_service_does_not_start(site: Path) -> None:
    (site / "link.toml").chmod(0o666)
    for command in ("run", "status", "doctor"):
        done = subprocess.run(
            [sys.executable, "-m", "endpoints.cli.main", command, str(site / CONFIGS["eucom"])],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        said = done.stdout + done.stderr
        assert done.returncode in {1, 2}, said
        assert f"{site / 'link.toml'}: others may change this link file (mode 0666)" in said
        assert "Traceback" not in said


@pytest.fixture(params=[0o000, 0o002, 0o022, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.mark.usefixtures("umask")
def test_what_init_enrol_and_link_make_is_accepted_under_any_umask(tmp_path: Path) -> None:
    (tmp_path / "exists").mkdir()
    for folder in (tmp_path / "new" / "site", tmp_path / "exists"):
        make(folder)
        for config in CONFIGS.values():
            settings.load(folder / config, {})
        alone = folder.parent / f"{folder.name}-alone"
        provision.enrol(
            alone,
            "eucom",
            default_terms.party("eucom"),
            officers=["watch-1"],
            suite="ed25519",
            links=["eucom-ndmc"],
            broker=provision.BrokerPlan(),
            authority=folder / "authority",
            at=NOW,
        )
        link_file.save(link_file.load(folder / "link.toml"), alone / "link.toml")
        assert stat.S_IMODE((alone / "link.toml").stat().st_mode) == 0o644
        settings.load(alone / "eucom" / "endpoint.toml", {})
        # renewed
        Authority.load(folder / "authority").issue_client("eucom", alone / "eucom" / "tls", NOW)
        settings.load(alone / "eucom" / "endpoint.toml", {})
