"""Old messages that a broker replays to a restored journal: nobody may read them as news (SPEC M8.4).

They are applied and notified as ever, because the journal has lost them. Everything that shows one says first that its
alert has expired, that it was sent long ago, or that its date is ahead.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from endpoints.cli.main import main
from endpoints.journal.segments import segments
from endpoints.texts.i18n import translator
from endpoints.texts.notices import NoticeWords, notice
from protocol.core.events import LineTestRequested, OfficerCancelled
from protocol.wire.messages import Reference
from tests.support.exchange import Exchange
from tests.support.small_day import begun
from tests.support.world import DAY, HOUR

WEEK = 7 * DAY
FOUL = "Pursuit.\n29 Nov 2022, 09:00:00  ndmc/1/9  alert, FLASH: nothing happens here  received\u202e\u2028"
Act = Callable[[Exchange], object]


def raises(exchange: Exchange) -> str:
    return exchange.alert("ndmc")


def places_a_test(exchange: Exchange) -> str:
    return exchange.ask("ndmc", LineTestRequested, nonce="00112233aabbccdd")


def acknowledges(exchange: Exchange) -> None:
    exchange.acknowledge("eucom/1/1")


def refuses(exchange: Exchange) -> None:
    exchange.refuse("eucom/1/1")


def answers(exchange: Exchange) -> None:
    exchange.answer_tests()


def cancels(exchange: Exchange) -> None:
    exchange.ask("ndmc", OfficerCancelled, of=Reference("ndmc", 1, 1))


class Restored:
    """An endpoint whose journal was restored from a copy before an act of the peer, which the broker replays."""

    def __init__(self, folder: Path, act: Act, away: int = WEEK, *before: Act) -> None:
        exchange = begun(folder / "exchange")
        for each in before:
            each(exchange)
            exchange.settle()
        own, peer = exchange.eucom, exchange.ndmc
        end = own.journal.flushed[1]
        act(exchange)
        peer.turn()
        (frame,) = (frame for frame in peer.outgoing if frame.channel == "message")
        peer.outgoing.clear()
        own.crash()
        (segment,) = segments(own.folder)
        segment.write_bytes(segment.read_bytes()[:end])
        exchange.world.at += away
        own.restart()
        own.turn()
        own.notices.submitted.clear()
        own.receive(frame)
        own.turn()
        self.folder, self.now, self.submitted = folder, own.at, [*own.notices.submitted]
        own.stop()

    def notices(self, lang: str) -> list[dict[str, Any]]:
        """Return what every receiver of notifications gets."""
        words = NoticeWords(translator(lang), lambda: self.now, {})
        return [notice("eucom-ndmc", "eucom", each, words) for each in self.submitted if each.kind == "message"]

    def run(self, capsys: pytest.CaptureFixture[str], *words: object) -> str:
        """Return the output of a command."""
        with pytest.raises(SystemExit) as raised:
            main([str(word) for word in words])
        assert raised.value.code == 0
        return capsys.readouterr().out

    def config(self, capsys: pytest.CaptureFixture[str]) -> Path:
        """Return the settings of an installation that has the restored journal."""
        self.run(capsys, "init", self.folder / "try")
        own = self.folder / "try" / "eucom"
        shutil.copytree(self.folder / "exchange" / "eucom", own / "journal" / "eucom-ndmc", dirs_exist_ok=True)
        return own / "endpoint.toml"


def test_a_replayed_alert_is_paged_as_expired_and_old(tmp_path: Path) -> None:
    """SPEC M8.4"""
    restored = Restored(tmp_path, raises)
    (english,), (russian,) = restored.notices("en"), restored.notices("ru")
    assert english["text"].startswith(
        "EXPIRED BEFORE IT ARRIVED, 7 days ago; OLD, sent 29 Nov 2022, 07:59:00 UTC: ndmc/1/1: alert, ROUTINE"
    )
    assert russian["text"].startswith("СРОК ИСТЁК ДО ПОЛУЧЕНИЯ, 7 дней назад; СТАРОЕ, отправлено 29 нояб. 2022")
    assert set(english["stale"]) == {"expired_at", "old_since"}


@pytest.mark.parametrize(
    ("act", "before"),
    [
        (places_a_test, ()),
        (acknowledges, (lambda exchange: exchange.alert("eucom"),)),
        (refuses, (lambda exchange: exchange.alert("eucom"),)),
        (
            answers,
            (lambda exchange: exchange.ask("eucom", LineTestRequested, nonce="00112233aabbccdd"),),
        ),
        (cancels, (raises,)),
    ],
)
def test_whatever_is_replayed_is_paged_as_old_and_only_an_alert_as_expired(
    act: Act, before: tuple[Act, ...], tmp_path: Path
) -> None:
    """SPEC M8.4"""
    (found,) = Restored(tmp_path, act, WEEK, *before).notices("en")
    assert found["text"].startswith("OLD, sent 29 Nov 2022, ")


def test_an_alert_whose_author_runs_ahead_is_paged_as_dated_ahead(tmp_path: Path) -> None:
    """SPEC M8.4, M8.2"""

    def ahead(exchange: Exchange) -> None:
        exchange.ndmc.skew = 3 * HOUR
        exchange.alert("ndmc")

    (found,) = Restored(tmp_path, ahead, 0).notices("en")
    assert found["text"].startswith("DATED AHEAD, 29 Nov 2022, 10:59:00 UTC: ndmc/1/1: alert")


def test_news_is_paged_without_a_warning(tmp_path: Path) -> None:
    """SPEC M8.4"""
    (found,) = Restored(tmp_path, raises, HOUR).notices("en")
    assert found["text"].startswith("ndmc/1/1: alert, ")
    assert "stale" not in found


def test_a_page_that_the_restored_journal_itself_repeats_is_old(tmp_path: Path) -> None:
    """SPEC M8.4"""
    exchange = begun(tmp_path)
    exchange.delivered("ndmc")
    exchange.eucom.crash()
    exchange.world.at += WEEK
    exchange.eucom.restart()
    exchange.eucom.turn()
    repeated = [each for each in exchange.eucom.notices.submitted if each.id == "message/ndmc/1/1"][-1]
    words = NoticeWords(translator("en"), lambda: exchange.eucom.at, {})
    assert notice("eucom-ndmc", "eucom", repeated, words)["text"].startswith("EXPIRED 7 days ago; OLD, sent 29 Nov")


def test_every_view_of_it_says_so_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """SPEC M8.4"""
    restored = Restored(tmp_path, lambda exchange: exchange.alert("ndmc", text={"en": FOUL, "ru": FOUL}))
    config, journal = restored.config(capsys), tmp_path / "exchange" / "eucom"
    for lang, expired, old in (("en", "EXPIRED ", "OLD, sent "), ("ru", "СРОК ИСТЁК ", "СТАРОЕ, отправлено ")):
        (line,) = restored.run(capsys, "messages", config, "--lang", lang).splitlines()
        _when, reference, _state, said = line.split("  ", 3)
        assert reference == "ndmc/1/1"
        assert said.startswith(expired)
        assert f"; {old}" in said
        for words in (("log", "show", journal), ("replay", journal, "--speed", "max")):
            shown = restored.run(capsys, *words, "--lang", lang)
            (line,) = (line for line in shown.splitlines() if translator(lang).term("kind", "alert") in line)
            assert f"ndmc      {expired}" in line
    (row,) = json.loads(restored.run(capsys, "messages", config, "--json"))["messages"]
    assert set(row["stale"]) == {"expired_at", "old_since"}
