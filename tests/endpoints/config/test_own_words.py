"""A side's own words for line tests, in its settings (SPEC B2.4)."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from endpoints.config import default_terms, settings, toml_reader
from endpoints.config.provision import BrokerPlan, enrol, provision
from endpoints.errors import UserError
from protocol.core.duty import OwnWords
from protocol.wire.instants import parsed

AT = parsed("2022-11-29T07:50:00.000Z")
RUSSIAN = default_terms.terms()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("words") / "try"
    sides = ("eucom", "ndmc")
    parties = {side: default_terms.party(side) for side in sides}
    provision(folder, [RUSSIAN], parties, at=AT, officers={side: default_terms.officers(side) for side in sides})
    return folder


def with_words(made: Path, words: str) -> Path:
    """Return eucom's settings with other words."""
    path = made / "eucom" / "endpoint.toml"
    text = path.read_text(encoding="utf-8")
    begins, ends = text.index("[links.test_text]"), text.index("[broker]")
    other = path.with_name("other.toml")
    other.touch(0o600)
    other.write_text(f"{text[:begins]}{words}\n\n{text[ends:]}", encoding="utf-8")
    return other


def test_init_writes_words_of_each_side_in_the_test_language(made: Path) -> None:
    """SPEC B2.4"""
    for side, place in (("eucom", "Висбаден"), ("ndmc", "Москва")):
        (link,) = settings.load_endpoint(made / side / "endpoint.toml").links
        assert link.words == OwnWords(
            f"Говорит {place}. Проверка линии. Как слышите?", f"{place} на связи. Слышу хорошо."
        )


def test_enrol_writes_words_in_each_language_since_the_policy_is_not_agreed_yet(tmp_path: Path) -> None:
    """SPEC B2.4"""
    enrol(
        tmp_path,
        "hq",
        default_terms.party("hq"),
        officers=("a", "b"),
        suite="ed25519",
        links=("one", "two"),
        broker=BrokerPlan(),
        authority=None,
        at=AT,
    )
    for link in toml_reader.read(tmp_path / "hq" / "endpoint.toml", what=toml_reader.ENDPOINT)["links"]:
        assert link["answer_text"] == {"en": "hq here. Loud and clear.", "ru": "hq на связи. Слышу хорошо."}


def test_there_are_no_words_for_a_language_that_is_not_known() -> None:
    """SPEC B2.4"""
    assert default_terms.words("Berlin", ("de",)) == {}


def test_words_that_are_absent_are_the_policys(made: Path) -> None:
    """SPEC B2.4"""
    (link,) = settings.load_endpoint(with_words(made, 'answer_text = { ru = "Да." }')).links
    assert link.words == OwnWords(None, "Да.")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            'test_text = { en = "Hello" }',
            "links[0].test_text: only in en, but line tests on link eucom-ndmc are in ru; add test_text.ru, or remove",
        ),
        ("answer_text = { }", "links[0].answer_text"),
        (f'answer_text = {{ ru = "{"x" * 4_001}" }}', "links[0].answer_text"),
        ('answer_text = { ru = "" }', "links[0].answer_text"),
        ('answer_text = { russian = "x" }', "links[0].answer_text"),
        ('answer_text = "x"', "links[0].answer_text"),
        (
            f'test_text = {{ ru = "{unicodedata.normalize("NFD", "й")}" }}',
            "links[0].test_text.ru: ",
        ),
        ('test_text = { ru = "a\\u0007" }', "links[0].test_text.ru: "),
        ('tests_text = { ru = "a" }', "did you mean test_text?"),
    ],
)
def test_words_that_no_line_test_can_carry_are_refused_by_their_key(made: Path, words: str, said: str) -> None:
    """SPEC B2.4, F4.4"""
    path = with_words(made, words)
    with pytest.raises(UserError) as refused:
        settings.load_endpoint(path)
    assert str(refused.value).startswith(f"{path}: ")
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_language_of_notifications_is_the_settings_or_that_of_the_environment(made: Path) -> None:
    path = made / "eucom" / "endpoint.toml"
    assert settings.load_endpoint(path, {}).language == "en"
    assert settings.load_endpoint(path, {"DECONFLICT_LANG": "ru"}).language == "ru"


def test_the_independent_watch_has_no_words(made: Path) -> None:
    """SPEC B2.4, W6"""
    path = made / "watch" / "watch.toml"
    other = path.with_name("other.toml")
    text = path.read_text(encoding="utf-8")
    text = text.replace('"journal/eucom-ndmc" }', '"journal/eucom-ndmc", test_text = { ru = "x" } }')
    other.write_text(text, encoding="utf-8")
    other.chmod(0o600)
    with pytest.raises(UserError, match=r"links\[0\]\.test_text: unknown key"):
        settings.load_watch(other)
