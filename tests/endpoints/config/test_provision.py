from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from endpoints.clocks.exercise_table import ExerciseTable
from endpoints.config import default_terms, link_file, provision, settings, side_file
from endpoints.config.link_file import LinkFile
from endpoints.control.server import listen
from endpoints.errors import UserError
from endpoints.journal.store import FolderStore
from endpoints.journal.writer import JournalWriter
from endpoints.keys import credentials
from endpoints.keys.signer import Signer
from protocol.core.events import BatchClosed, Stopped
from protocol.wire.instants import parsed
from protocol.wire.keyring import Keyring
from protocol.wire.policy import Terms

AT = parsed("2022-11-29T07:50:00.000Z")


def make(folder: Path, *links: Terms, **more: object) -> tuple[LinkFile, ...]:
    links = links or (default_terms.terms(),)
    sides = (links[0].caller, links[0].answering)
    return provision.provision(
        folder,
        links,
        {side: default_terms.party(side) for side in sides},
        at=AT,
        **({"officers": {side: default_terms.officers(side) for side in sides}} | more),  # type: ignore[arg-type]
    )


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("provision") / "site"
    make(folder)
    return folder


def test_both_sides_the_watch_and_the_broker_have_all_their_files(made: Path) -> None:
    keys = {str(path.relative_to(made)) for path in made.glob("*/keys/*.pem")}

    assert len(keys) == 3
    assert files(made) - keys == {
        "link.toml",
        "eucom/endpoint.toml",
        "eucom/keys/officers/watch-1.credential",
        "eucom/keys/officers/watch-2.credential",
        "eucom/tls/ca.crt",
        "eucom/tls/client.crt",
        "eucom/tls/client.key",
        "ndmc/endpoint.toml",
        "ndmc/keys/officers/duty-1.credential",
        "ndmc/keys/officers/duty-2.credential",
        "ndmc/tls/ca.crt",
        "ndmc/tls/client.crt",
        "ndmc/tls/client.key",
        "watch/watch.toml",
        "watch/tls/ca.crt",
        "watch/tls/client.crt",
        "watch/tls/client.key",
        "broker/acl",
        "broker/mosquitto.conf",
        "broker/health/ca.crt",
        "broker/health/client.crt",
        "broker/health/client.key",
        "authority/ca.crt",
        "authority/ca.key",
        "broker/tls/ca.crt",
        "broker/tls/server.crt",
        "broker/tls/server.key",
    }
    assert (made / "eucom" / "journal" / "eucom-ndmc").is_dir()


def test_private_files_are_private_from_the_start(made: Path) -> None:
    for folder in ("eucom", "ndmc", "watch", "broker", "authority"):
        assert stat.S_IMODE((made / folder).stat().st_mode) == 0o700
    for path in made.rglob("*"):
        if path.suffix in {".key", ".pem", ".credential"} or path.name == "endpoint.toml":
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


@pytest.fixture(params=[0o000, 0o002, 0o022, 0o027, 0o077], ids="{:03o}".format)
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def modes(folder: Path) -> dict[str, int]:
    found = {path.relative_to(folder): stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.rglob("*"))}
    return {str(path): mode for path, mode in found.items()}


@pytest.mark.usefixtures("umask")
def test_the_modes_of_what_init_makes_do_not_depend_on_the_umask(tmp_path: Path) -> None:
    make(tmp_path / "new" / "site")

    found = modes(tmp_path / "new")
    public = {".", "site"}
    for name, mode in found.items():
        path = tmp_path / "new" / name
        if name in public:
            assert mode == 0o755, name
        elif path.is_dir():
            assert mode == 0o700, name
        else:
            assert mode == (0o644 if path.suffix == ".crt" or path.name == "link.toml" else 0o600), name


@pytest.mark.usefixtures("umask")
@pytest.mark.parametrize("prepared", [False, True], ids=["new", "empty folders"])
@pytest.mark.parametrize("side", ["eucom", "watch"])
def test_the_control_socket_can_lie_in_what_enrol_makes_under_any_umask(
    side: str, prepared: bool, tmp_path: Path
) -> None:
    home = tmp_path / "hq" / side
    if prepared:
        (home / "journal").mkdir(parents=True)
    party = default_terms.party("eucom")
    plan = provision.BrokerPlan()
    if side == "watch":
        provision.enrol_watch(
            home.parent, officers=["a"], suite="ed25519", links=["a"], broker=plan, authority=None, at=AT
        )
    else:
        provision.enrol(
            home.parent,
            side,
            party,
            officers=["watch-1"],
            suite="ed25519",
            links=["a"],
            broker=plan,
            authority=None,
            at=AT,
        )

    found = modes(home)
    assert found["."] == 0o700
    assert {mode for name, mode in found.items() if (home / name).is_dir()} == {0o700}
    # the certificate request is public
    assert found.pop("tls/client.csr") == 0o644
    assert {mode for name, mode in found.items() if (home / name).is_file()} == {0o600}
    listen(home / "control.sock").close()
    assert stat.S_IMODE((home / "control.sock").stat().st_mode) == 0o600


@pytest.mark.usefixtures("umask")
def test_what_a_process_makes_has_its_own_modes_under_any_umask(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    journal = JournalWriter.open(FolderStore(folder), "eucom-ndmc", "eucom")
    journal.append([(Stopped(at=AT, mono=1), ()), (BatchClosed(at=AT, mono=1), ())])
    journal.close(AT, 1, None)
    listen(tmp_path / "run" / "here" / "control.sock").close()
    ExerciseTable.begin(0, 0, 1).write(tmp_path / "run" / "e.clock")
    link_file.save(LinkFile(terms=default_terms.terms(), parties={}), tmp_path / "run" / "link.toml")

    assert set(modes(tmp_path / "a").values()) == {0o700, 0o600}
    assert set(modes(tmp_path / "run").items()) == {
        (".", 0o700),
        ("here", 0o700),
        ("here/control.sock", 0o600),
        ("e.clock", 0o644),
        ("link.toml", 0o644),
    }


def test_the_settings_load_what_is_made(made: Path) -> None:
    eucom = settings.load_endpoint(made / "eucom" / "endpoint.toml", {})
    ndmc = settings.load_endpoint(made / "ndmc" / "endpoint.toml", {})
    watch = settings.load_watch(made / "watch" / "watch.toml", {})
    content = eucom.link(None).content

    assert content == ndmc.link(None).content == watch.link(None).content
    Keyring(content.keys, content.terms.policy.suite)
    assert Signer.load(eucom.keys).enrolled == content.keys["eucom"]
    for side, officer in (("eucom", "watch-1"), ("ndmc", "duty-2")):
        credential = credentials.read_credential(made / side / "keys" / "officers" / f"{officer}.credential")
        loaded = settings.load_endpoint(made / side / "endpoint.toml", {})
        assert credentials.verify(credential, loaded.officers[officer].credential)


def test_the_authority_s_key_does_not_lie_below_the_broker_s_folder(made: Path) -> None:
    assert not [path for path in (made / "broker").rglob("*") if path.name == "ca.key"]
    assert stat.S_IMODE((made / "authority").stat().st_mode) == 0o700
    assert not (made / ".making").exists()


def test_several_links_have_a_file_and_a_journal_each(tmp_path: Path) -> None:
    first, second = make(
        tmp_path / "site", default_terms.terms(), default_terms.terms("syria"), exercise_clock=Path("e.clock")
    )
    found = settings.load_endpoint(tmp_path / "site" / "ndmc" / "endpoint.toml", {})

    assert [link.id for link in found.links] == ["eucom-ndmc", "syria"]
    assert first.keys == second.keys
    assert found.exercise_clock == Path("e.clock").absolute()
    assert (tmp_path / "site" / "syria.toml").is_file()
    assert "deconfliction/v1/syria/eucom/message" in (tmp_path / "site" / "broker" / "acl").read_text("utf-8")


def test_a_folder_with_files_is_refused_and_unchanged(tmp_path: Path) -> None:
    (tmp_path / "eucom").mkdir()
    (tmp_path / "eucom" / "precious").write_text("x", encoding="utf-8")

    with pytest.raises(UserError, match=r"not empty \(it contains eucom/precious\); name a new folder"):
        make(tmp_path)

    assert files(tmp_path) == {"eucom/precious"}


def test_existing_empty_folders_are_accepted(tmp_path: Path) -> None:
    for mounted in ("eucom", "ndmc", "watch", "broker", "authority"):
        (tmp_path / mounted).mkdir()
    kept = (tmp_path / "eucom").stat().st_ino

    make(tmp_path)

    assert (tmp_path / "eucom").stat().st_ino == kept
    assert (tmp_path / "eucom" / "endpoint.toml").is_file()
    assert (tmp_path / "authority" / "ca.key").is_file()
    assert not (tmp_path / ".making").exists()


@pytest.mark.parametrize(
    ("terms", "complaint"),
    [
        (default_terms.terms(caller="watch"), "watch: this name is reserved"),
        (default_terms.terms(answering="broker"), "broker: this name is reserved"),
        (default_terms.terms(answering="authority"), "authority: this name is reserved"),
        (default_terms.terms(link="watch"), "watch: this name is reserved"),
        (default_terms.terms(caller="ndmc"), "ndmc: the same party calls and answers"),
    ],
)
def test_a_failure_leaves_no_files(tmp_path: Path, terms: Terms, complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        make(tmp_path / "new" / "site", terms)

    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_leaves_no_files(tmp_path: Path) -> None:
    def interrupted() -> Iterator[str]:
        yield "watch-1"
        assert any(path.name == "mosquitto.conf" for path in tmp_path.rglob("*"))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "site", officers={"eucom": interrupted(), "ndmc": ()})

    assert list(tmp_path.iterdir()) == []


def test_a_path_too_long_for_a_socket_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"the path of this socket has \d+ bytes, more than 107"):
        make(tmp_path / ("x" * 90))

    assert list(tmp_path.iterdir()) == []


def test_a_file_instead_of_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "site").write_text("x", encoding="utf-8")

    with pytest.raises(UserError, match="exists and is not a folder"):
        make(tmp_path / "site")
    with pytest.raises(UserError, match="Not a directory"):
        make(tmp_path / "site" / "below")


# --- one side alone -----------------------------------------------------------------------------------------------


def enrolled(folder: Path, side: str, **more: object) -> Path:
    party = provision.enrol(
        folder,
        side,
        default_terms.party(side),
        officers=default_terms.officers(side),
        suite="ed25519",
        links=["eucom-ndmc"],
        broker=provision.BrokerPlan(),
        at=AT,
        **({"authority": None} | more),  # type: ignore[arg-type]
    )
    path = folder / f"{side}.side.toml"
    path.write_bytes(side_file.dump(side, party))
    return path


def test_a_side_file_is_written_and_read(tmp_path: Path) -> None:
    path = enrolled(tmp_path, "eucom")

    side, party = side_file.load(path)

    assert side == "eucom"
    assert party.keys == Signer.load(tmp_path / "eucom" / "keys").enrolled
    assert party.site == "Wiesbaden"


def test_two_sides_enrolled_separately_make_a_valid_link(tmp_path: Path, made: Path) -> None:
    parties = dict(side_file.load(enrolled(tmp_path, side, authority=made / "authority")) for side in ("eucom", "ndmc"))
    link_file.save(LinkFile(terms=default_terms.terms(), parties=parties), tmp_path / "link.toml")

    found = settings.load_endpoint(tmp_path / "ndmc" / "endpoint.toml", {})

    assert found.link(None).content.keys["eucom"] == parties["eucom"].keys


def test_an_invalid_authority_leaves_no_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the folder of an authority was expected here"):
        enrolled(tmp_path, "eucom", authority=tmp_path / "none")

    assert not (tmp_path / "eucom").exists()


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('side = "eucom"', 'side = "EUCOM"', "side: expected text in quotes of at most 32"),
        ('zone = "Europe/Berlin"', 'zone = "Wiesbaden"', "zone: not a time zone"),
        ('algorithm = "ed25519"', 'algorithm = "rot13"', "keys[0].algorithm: invalid enum value 'rot13'"),
        ("site", "sight", "sight: unknown key; did you mean site?"),
    ],
)
def test_a_wrong_key_of_a_side_file_is_named(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    path = enrolled(tmp_path, "eucom")
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")

    with pytest.raises(UserError) as refused:
        side_file.load(path)

    assert str(refused.value).startswith(f"{path}: {complaint}")
