"""`link make` and `link show`, with side files as an adversary may write them."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from endpoints.cli.main import main
from endpoints.config import default_terms, side_file
from endpoints.config.link_file import WatchEntry
from endpoints.keys import signer

LOW_ORDER = "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="


def run(*words: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    return int(ended.value.code or 0)


@pytest.fixture(scope="module")
def enrolled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The public files of both sides and the watch."""
    texts = {}
    for side in ("eucom", "ndmc"):
        party = msgspec.structs.replace(default_terms.party(side), keys=signer.generate(tmp_path_factory.mktemp(side)))
        texts[side] = side_file.dump(side, party).decode()
    entry = WatchEntry(keys=signer.generate(tmp_path_factory.mktemp("watch")))
    return texts | {"watch": side_file.dump_watch(entry).decode()}


def made(folder: Path, eucom: str, ndmc: str, watch: str | None = None) -> int:
    for name, text in (("eucom", eucom), ("ndmc", ndmc), ("watch", watch or "")):
        (folder / f"{name}.toml").write_text(text, "utf-8")
    more = ("--watch", folder / "watch.toml") if watch else ()
    return run("link", "make", folder / "link.toml", folder / "eucom.toml", folder / "ndmc.toml", *more, "--lang", "en")


def with_key(text: str, public: str) -> str:
    return re.sub(r'public = ".*"', f'public = "{public}"', text)


def key_of(text: str) -> str:
    found = re.search(r'public = "(.*)"', text)
    assert found
    return found[1]


@pytest.mark.parametrize("name", ["watch", "broker", "authority"])
def test_a_side_with_a_reserved_name_is_refused(
    enrolled: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    ndmc = enrolled["ndmc"].replace('side = "ndmc"', f'side = "{name}"')
    assert made(tmp_path, enrolled["eucom"], ndmc) == 2
    assert f"{tmp_path}/ndmc.toml: side: {name} is reserved" in capsys.readouterr().err
    assert not (tmp_path / "link.toml").exists()


def test_a_key_that_may_not_be_enrolled_is_refused_with_its_file(
    enrolled: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert made(tmp_path, enrolled["eucom"], with_key(enrolled["ndmc"], LOW_ORDER)) == 2
    assert re.search(rf"{tmp_path}/ndmc\.toml: key .* of ndmc is a point of low order", capsys.readouterr().err)
    assert made(tmp_path, enrolled["eucom"], enrolled["ndmc"], with_key(enrolled["watch"], LOW_ORDER)) == 2
    assert re.search(rf"{tmp_path}/watch\.toml: key .* of watch is a point of low order", capsys.readouterr().err)
    assert not (tmp_path / "link.toml").exists()


@pytest.mark.parametrize("copied", ["ndmc", "watch"])
def test_a_key_of_another_file_is_refused_with_both_files(
    enrolled: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str], copied: str
) -> None:
    texts = enrolled | {copied: with_key(enrolled[copied], key_of(enrolled["eucom"]))}
    assert made(tmp_path, texts["eucom"], texts["ndmc"], texts["watch"]) == 2
    said = capsys.readouterr().err
    assert re.search(rf"{tmp_path}/{copied}\.toml: key \S+ is in {tmp_path}/eucom\.toml as well;", said)
    assert not (tmp_path / "link.toml").exists()


def test_a_name_in_a_side_file_cannot_begin_a_row_of_link_show(
    enrolled: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ndmc = enrolled["ndmc"].replace('site = "Moscow"', 'site = "Moscow\\nwatch  ed25519-0000"')
    name = default_terms.party("ndmc").name["en"]
    ndmc = ndmc.replace(name, "NDMC\\n\\u202ecalls  eucom\\u001b[2J")
    assert made(tmp_path, enrolled["eucom"], ndmc) == 0
    capsys.readouterr()
    assert run("link", "show", tmp_path / "link.toml", "--lang", "en") == 0
    shown = capsys.readouterr().out
    assert r"NDMC\n\u202ecalls  eucom\x1b[2J, Moscow\nwatch  ed25519-0000" in shown
    assert len(re.findall(r"^watch ", shown, re.MULTILINE)) == 1
    assert len(re.findall(r"^calls ", shown, re.MULTILINE)) == 1


def test_a_long_key_id_is_cut_in_the_error(
    enrolled: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ndmc = re.sub(r'id = ".*"', f'id = "{"x" * 5000}"', enrolled["ndmc"])
    assert made(tmp_path, enrolled["eucom"], ndmc) == 2
    said = capsys.readouterr().err
    assert f"key '{'x' * 64}' of ndmc has an id of 5000 characters; 1 to 64 are allowed" in said
    assert "x" * 65 not in said
