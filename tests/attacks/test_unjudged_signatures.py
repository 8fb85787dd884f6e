"""Verdicts that do not say which signatures were judged, under which link file, and who differs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from endpoints.cli.main import main
from protocol.core.start_events import KeysEnrolled
from protocol.record.journal import Entry, Record
from protocol.wire.policy import EnrolledKey
from tests.attacks.forge import Edit
from tests.attacks.scene import ROGUE, Scene, enrols, inserted, name_of, with_keys
from tests.golden.continuing import deconflict, rich
from tests.vectors.terms import enrolled

NOT_JUDGED = {
    "en": "no signature was judged under keys from outside: give the link file (--link-file)",
    "ru": "ни одна подпись не проверена ключами извне: укажите файл линии (--link-file)",
}
Keys = dict[str, tuple[EnrolledKey, ...]]
ROGUE_NAME = name_of("ndmc", ROGUE.enrolled[0])
TRUE_NAME = name_of("ndmc", enrolled("ndmc"))
JOURNALS = ("journal/eucom", "journal/ndmc")


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return Scene.of_a_day(tmp_path_factory.mktemp("day"))


@pytest.fixture
def scene(honest: Scene, tmp_path: Path) -> Scene:
    """The journals of the day, beside which each test forges its own."""
    (tmp_path / "journal").symlink_to(honest.folder / "journal")
    return Scene(tmp_path)


@pytest.mark.parametrize("lang", ["en", "ru"])
def test_without_a_link_file_no_signature_counts_as_judged(scene: Scene, lang: str) -> None:
    for words in (["log", "verify", "journal/eucom"], ["reconcile", *JOURNALS]):
        assert NOT_JUDGED[lang] in rich(scene.folder, [*words, "--lang", lang])
        assert NOT_JUDGED[lang] not in rich(scene.folder, [*words, "--link-file", "link.toml", "--lang", lang])
    verified = deconflict(scene.folder, ["log", "verify", "journal/eucom", "--json"]).document
    assert verified["judged_under"] == []
    reconciled = deconflict(scene.folder, ["reconcile", *JOURNALS, "--json"]).document
    assert reconciled["judged_under"] == {"eucom": [], "ndmc": []}


def test_with_a_link_file_the_verdict_counts_what_was_judged_under_it(scene: Scene) -> None:
    (judged,) = scene.verify("journal/eucom").document["judged_under"]
    assert (judged["link_file"], judged["epoch"], judged["not_enrolled"]) == ("link.toml", 1, [])
    assert judged["signatures"] > 5
    assert scene.reconcile(*JOURNALS).document["judged_under"]["eucom"] == [judged]
    line = f"{judged['signatures']} signatures of epoch 1 judged under link.toml"
    assert line in rich(scene.folder, ["log", "verify", "journal/eucom", "--link-file", "link.toml", "--lang", "en"])


def test_a_link_file_with_an_extra_key_does_not_refuse_honest_journals(scene: Scene) -> None:
    keys = (*scene.file.keys["ndmc"], *ROGUE.enrolled)
    scene.save("extra.toml", with_keys(scene.file, ndmc=keys))
    words = ["reconcile", *JOURNALS, "--link-file", "extra.toml"]
    run = deconflict(scene.folder, [*words, "--json"])
    assert run.exit == 0
    for side in ("eucom", "ndmc"):
        (judged,) = run.document["judged_under"][side]
        assert judged["not_enrolled"] == [ROGUE_NAME]
    said = rich(scene.folder, [*words, "--lang", "en"])
    assert f"eucom: extra.toml has keys that the journal does not enrol: {ROGUE_NAME}" in said
    run = scene.verify("journal/ndmc", "--link-file", "extra.toml")
    assert (run.exit, run.document["judged_under"][0]["not_enrolled"]) == (0, [ROGUE_NAME])


def first_enrolment_of(keys: Keys) -> Edit:
    """Return an edit that enrols other keys in place of the first ones."""

    def edit(record: Record, core: Any) -> Iterator[Entry]:
        del core
        yield structs.replace(record.entry, keys=keys) if isinstance(record.entry, KeysEnrolled) else record.entry

    return edit


@pytest.fixture
def refusal(scene: Scene, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Return the line with which a command in the scene's folder refuses a damaged journal."""

    def run(*words: str) -> str:
        monkeypatch.chdir(scene.folder)
        with pytest.raises(SystemExit) as ended:
            main([*words])
        assert ended.value.code == 4
        said = capsys.readouterr()
        assert (said.out, said.err.count("\n")) == ("", 1)
        return said.err

    return run


def test_a_link_file_that_differs_from_both_journals(scene: Scene, refusal: Callable[..., str]) -> None:
    scene.save("replaced.toml", with_keys(scene.file, ndmc=ROGUE.enrolled))
    said = refusal("reconcile", *JOURNALS, "--link-file", "replaced.toml")
    assert "journal/eucom: record 2: it enrols keys that are not those of the link file replaced.toml" in said
    assert f"{TRUE_NAME}: journal/ndmc enrols it too, so replaced.toml is what differs" in said


def test_a_journal_that_differs_from_the_link_file_and_the_other_journal(
    scene: Scene, refusal: Callable[..., str]
) -> None:
    keys = scene.file.keys
    rogue = keys | {"ndmc": (*keys["ndmc"], *ROGUE.enrolled)}
    scene.forged("eucom", inserted(20, lambda record, _core: iter([enrols(record, rogue), enrols(record, keys)])))
    said = refusal("reconcile", "forged/eucom", "journal/ndmc", "--link-file", "link.toml")
    assert "forged/eucom: record 20" in said
    assert f"{ROGUE_NAME}: neither link.toml nor journal/ndmc has it, so forged/eucom is what differs" in said


def test_a_rogue_key_with_the_id_of_the_true_one(scene: Scene, refusal: Callable[..., str]) -> None:
    keys = scene.file.keys
    fake = structs.replace(ROGUE.enrolled[0], id=keys["ndmc"][0].id)
    rogue = keys | {"ndmc": (fake,)}
    scene.forged("eucom", inserted(20, lambda record, _core: iter([enrols(record, rogue), enrols(record, keys)])))
    said = refusal("reconcile", "forged/eucom", "journal/ndmc", "--link-file", "link.toml")
    assert f"{name_of('ndmc', fake)}: neither link.toml nor journal/ndmc has it" in said


def test_without_a_link_file_the_verdict_names_the_journal_that_has_further_keys(scene: Scene) -> None:
    fake = structs.replace(ROGUE.enrolled[0], id="ndmc-2")
    keys = scene.file.keys | {"ndmc": (*scene.file.keys["ndmc"], fake)}
    scene.forged("eucom", first_enrolment_of(keys))
    run = deconflict(scene.folder, ["reconcile", "forged/eucom", "journal/ndmc", "--json"])
    assert run.document["keys_only_in"] == {"eucom": [name_of("ndmc", fake)], "ndmc": []}
    said = rich(scene.folder, ["reconcile", "forged/eucom", "journal/ndmc", "--lang", "en"])
    assert f"eucom: no other journal enrols the keys {name_of('ndmc', fake)}" in said
