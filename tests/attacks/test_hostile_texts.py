"""No text of another party can pass for a row, a field or an act of a view, in any field that it can write."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from endpoints.cli.commands import COMMANDS
from endpoints.cli.main import main
from endpoints.cli.terminal_log import TerminalLog
from endpoints.config import default_terms
from endpoints.journal.segments import segment_path
from endpoints.texts.i18n import LANGUAGES, translator
from endpoints.texts.item_page import VALUE_COLUMN, ItemPage, ShownAct, item_lines
from endpoints.texts.notices import NoticeWords, notice
from endpoints.texts.printable import one_line
from protocol.core import events, start_events
from protocol.core.acts import Act
from protocol.core.alarms import Alarm, AlarmCode
from protocol.core.effects import AnyEffect, Apply, Notify, Queue, RaiseAlarm, RejectFrame
from protocol.record.journal import Entry
from protocol.wire.instants import parsed, written
from protocol.wire.messages import Area, Message, Reference
from tests.attacks.hostile_texts import CORPUS, hostile, on_the_wire, structure, too_wide, unprintable
from tests.support.installation import provisioned
from tests.support.journal_samples import LINK, NOON, Batch, lines_of
from tests.support.small_day import begun
from tests.support.world import MINUTE
from tests.vectors.terms import EPOCH_1

COLUMNS = 80
SIDES = ("eucom", "ndmc")
ROOT = Path(__file__).parents[2]
Write = Callable[[str], str]
"""Returns the text that a party writes into the field for a kind of deceit."""


def plain(_kind: str) -> str:
    return "plain"


WRITERS: dict[str, Write] = {"plain": plain, "hostile": hostile}
COMMAND_WORDS = {command.words for commands in COMMANDS.values() for command in commands}


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


def bodies(text: str) -> Iterator[dict[str, Any]]:
    """Yield a body of each kind with a text in every field that takes one, and bodies of no kind at all."""
    of = {"sender": "eucom", "epoch": 1, "seq": 1}
    area = {"name": text[:200], "latitude_udeg": 1, "longitude_udeg": 2, "radius_m": 3}
    when, later = written(NOON), written(NOON + 3_600_000)
    alert: dict[str, Any] = {
        "type": "alert",
        "status": "exercise",
        "category": "air_pursuit",
        "precedence": "routine",
        "event_at": when,
        "expires_at": later,
        "text": {"en": text, "ru": text},
        "released_by": ["duty-1"],
    }
    said = {"of": of, "officer": "duty-1", "text": {"en": text, "ru": text}}
    words = [text[:40] or "x"] * 3
    yield {**alert, "area": area}
    yield {**alert, "change": {"of": of, "kind": "cancellation"}}
    yield {"type": "acknowledgement", **said, "decision": "understood"}
    yield {"type": "refusal", **said, "by": "officer", "reason": "out_of_scope", "referral": "ministers"}
    yield {"type": "heartbeat", "status": "exercise", "language": "ru", "text": text, "challenge": words}
    yield {"type": "heartbeat_answer", "of": of, "language": "ru", "text": text, "read_back": words}
    yield {"type": text, "of": text, "".join(each for each in text if each.isascii()): [text]}
    yield {**alert, "released_by": [text], "category": text}


SHAPES = tuple(bodies("x"))


def alarm(text: str, subject: str = "ndmc") -> Alarm:
    return Alarm(
        code=AlarmCode.BROKER_UNREACHABLE,
        severity="critical",
        subject=subject,
        raised_at=written(NOON),
        detected_at=written(NOON),
        detail=text,
    )


def batches(write: Write) -> list[Batch]:
    """Return the batches of a journal in which every text is what `write` returns, as far as its field takes it."""
    now: dict[str, Any] = {"at": NOON, "mono": 1}
    found: list[Batch] = []
    seq = 0
    for kind in CORPUS:
        text = write(kind)
        entries: list[Entry] = [
            events.TransportLost(**now, reason=text),
            events.PublishRefused(**now, channel="message", code=151, reason=text),
            events.FramesSuppressed(**now, reason=text, count=2),
            events.SinkFailed(**now, sink="webhook", why=text[:200]),
            events.WatchLeft(**now, request="r", officer="watch-1", why=text[:200]),
            start_events.WordsChosen(**now, test_text=text, answer_text=text),
            events.AlarmAcknowledged(**now, request="r", officer="watch-1", code=text, subject=text),
            events.Started(**now, software=text, slots=(), slots_until=written(NOON), tzdata="x"),
        ]
        effects: list[AnyEffect] = [RejectFrame(reason=text, detail=text), RaiseAlarm(alarm=alarm(text, text))]
        for body in bodies(on_the_wire(text)):
            seq += 1
            message = Message(seq, "0" * 64, written(NOON), body)
            effects += [Apply(sender="ndmc", message=message), Queue(message=message)]
        opened = [] if found else [start_events.EpochOpened(**now, terms=EPOCH_1)]
        closed = (events.BatchClosed(**now, frames=(text.encode("utf-8", "replace"),)), tuple(effects))
        found.append([*((entry, ()) for entry in (*opened, *entries)), closed])
    return found


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two installations whose journals differ in their texts alone."""
    return {name: installed(tmp_path_factory.mktemp("a") / "i", write) for name, write in WRITERS.items()}


def installed(folder: Path, write: Write) -> Path:
    provisioned(
        folder,
        [default_terms.terms()],
        {side: default_terms.party(side) for side in SIDES},
        at=parsed("2022-11-29T12:00:00.000Z"),
        officers={side: default_terms.officers(side) for side in SIDES},
    )
    journal = folder / "eucom" / "journal" / LINK
    segment_path(journal, 1).write_bytes(b"".join(lines_of(batches(write))))
    return folder


def run(*words: object, terminal: bool, language: str) -> tuple[str, str]:
    """Run a command here; return what it prints on each of its outputs."""
    out, err = (Tty(), Tty()) if terminal else (io.StringIO(), io.StringIO())
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), contextlib.suppress(SystemExit):
        main([*map(str, words), "--lang", language])
    return out.getvalue(), err.getvalue()


VIEWS: dict[str, tuple[tuple[str, ...], int, int]] = {
    "messages": (("messages", "{config}"), 2, 20),
    "log show": (("log", "show", "{journal}"), 10, 19),
    "replay": (("replay", "{journal}", "--speed", "max"), 2, 36),
    # of one kind; `test_the_page_of_an_item` has all of them
    **{
        f"show ndmc/1/{seq}": (("show", "{config}", f"ndmc/1/{seq}"), 16, 16)
        for seq in range(1 + len(SHAPES), 1 + 2 * len(SHAPES))
    },
}
"""The words of a view; its structure stands left of the first column, and is compared up to the second."""


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("terminal", [True, False], ids=["terminal", "pipe"])
def test_no_text_reproduces_the_structure_of_a_view_of_the_record(
    folders: dict[str, Path], language: str, *, terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SPEC M8.4"""
    monkeypatch.setenv("COLUMNS", str(COLUMNS))
    monkeypatch.setenv("TERM", "dumb")
    for view, (words, inner, width) in VIEWS.items():
        seen = {}
        for name, folder in folders.items():
            values = {"config": folder / "eucom" / "endpoint.toml", "journal": folder / "eucom" / "journal" / LINK}
            out, err = run(*(word.format(**values) for word in words), terminal=terminal, language=language)
            assert not unprintable(out + err), (view, unprintable(out + err))
            assert not terminal or not too_wide(out.splitlines(), COLUMNS), view
            assert len(err.splitlines()) <= 1, (view, err)
            seen[name] = structure(out.replace(str(folder), "").split("\n"), inner, width)
        assert seen["hostile"] == seen["plain"], view


@pytest.mark.parametrize("language", LANGUAGES)
def test_in_a_pipe_the_text_stands_last_in_its_row(folders: dict[str, Path], language: str) -> None:
    out, _ = run("messages", folders["hostile"] / "eucom" / "endpoint.toml", terminal=False, language=language)
    texts = {kind: one_line(on_the_wire(hostile(kind))) for kind in CORPUS}
    alerts = [line for line in out.splitlines() if f"ndmc/1/{2 + len(SHAPES)}  " in line]
    assert alerts
    assert all(line.endswith(texts[list(CORPUS)[1]]) for line in alerts)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("terminal", [True, False], ids=["terminal", "pipe"])
def test_the_lines_of_a_running_process_keep_their_structure(
    language: str, *, terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `run` prints for people: records, and ordinary log lines with fields from outside."""
    monkeypatch.setenv("COLUMNS", str(COLUMNS))
    monkeypatch.setenv("TERM", "dumb")
    seen = []
    for write in (plain, hostile):
        with contextlib.redirect_stdout(Tty() if terminal else io.StringIO()):
            out = ""
            for batch in batches(write):
                # of each batch anew: a flood of one kind is counted
                log = TerminalLog(translator(language), "eucom", {LINK: 1})
                out += log.records(b"".join(lines_of([batch]))).decode()
            for kind in CORPUS:
                text = write(kind)
                fields = {"event": "notification not delivered", "why": text, "sink": text}
                for line in (
                    fields,
                    {"event": text, "logger": text, text: text},
                    {"event": "notification", "text": text},
                ):
                    out += (
                        TerminalLog(translator(language), "eucom", {LINK: 1}).line(msgspec.json.encode(line)).decode()
                    )
        assert not unprintable(out)
        assert not terminal or not too_wide(out.splitlines(), COLUMNS)
        seen.append(structure(out.split("\n"), 35, 35))
    assert seen[0] == seen[1]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", list(CORPUS))
def test_the_text_of_a_notification_is_one_line(language: str, kind: str) -> None:
    words = NoticeWords(translator(language), lambda: NOON, {LINK: "Europe/Berlin"})
    text = hostile(kind)
    told = [Notify(id="1", kind="alarm", alarm=alarm(text, text))]
    for body in bodies(on_the_wire(text)):
        reference = Reference("ndmc", 1, 1)
        told.append(
            Notify(
                id="2", kind="message", reference=reference, body=body, sent_at=written(NOON), received_at=written(NOON)
            )
        )
    for effect in told:
        line = notice(LINK, "eucom", effect, words)["text"]
        assert "\n" not in line
        assert not unprintable(line)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_of_an_item_keeps_its_fields(language: str) -> None:
    """What `show`, `drafts` and the prompt of `release` print."""
    t, seen = translator(language), []
    for write in (plain, lambda kind: on_the_wire(hostile(kind))):
        shown: list[str] = []
        for text in map(write, CORPUS):
            texts = {"en": text, "ru": text}
            for body in bodies(text):
                act = ShownAct(act=Act(act="refused", at=written(NOON), party="ndmc"), text=texts, referral="x")
                known = body["type"] in {"alert", "acknowledgement", "refusal", "heartbeat", "heartbeat_answer"}
                page = ItemPage(
                    reference="draft/1",
                    kind="alert",
                    state="x",
                    body=body if known and body.get("category") != text else str(body),
                    target=texts,
                    cancellation=texts,
                    author="watch-1",
                    acts=(act,),
                    seen="0" * 64,
                )
                lines = item_lines(page, t, ("Europe/Berlin",), COLUMNS)
                assert not unprintable("\n".join(lines))
                assert not too_wide(lines, COLUMNS)
                shown += structure(lines, VALUE_COLUMN, VALUE_COLUMN)
        seen.append(shown)
    assert seen[0] == seen[1]


@pytest.mark.parametrize(
    "words", [("messages", "{config}"), ("messages", "{config}", "--json"), ("show", "{config}", "ndmc/1/1")]
)
def test_a_forged_message_with_a_control_character_is_refused_in_one_line(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    """SPEC F4.4: no frame can have held it."""
    folder = installed(tmp_path / "i", plain)
    body = next(bodies("\x1b[2J"))
    forged = Apply(sender="ndmc", message=Message(1, "0" * 64, written(NOON), body))
    now: dict[str, Any] = {"at": NOON, "mono": 1}
    batch: Batch = [(start_events.EpochOpened(**now, terms=EPOCH_1), ()), (events.BatchClosed(**now), (forged,))]
    segment_path(folder / "eucom" / "journal" / LINK, 1).write_bytes(b"".join(lines_of([batch])))
    out, err = run(
        *(word.format(config=folder / "eucom" / "endpoint.toml") for word in words), terminal=False, language="en"
    )
    assert out == ""
    assert err.startswith("deconflict: record 2: no link writes such terms or effects")
    assert err.count("\n") == 1
    assert not unprintable(err)


@pytest.fixture(scope="module")
def exchanges(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The journals of two exchanges, signed and received, which differ in their texts alone."""
    return {name: exchanged(tmp_path_factory.mktemp("b"), write) for name, write in WRITERS.items()}


def exchanged(folder: Path, write: Write) -> Path:
    exchange = begun(folder)
    for kind in CORPUS:
        text = on_the_wire(write(kind))
        texts = {"en": text, "ru": text}
        area = Area(name=text[:200], latitude_udeg=1, longitude_udeg=2, radius_m=3)
        reference = exchange.delivered("ndmc", text=texts, area=area)
        exchange.acknowledge(reference, text=texts)
        exchange.settle()
        exchange.refuse(exchange.delivered("eucom"), text=texts)
        exchange.run(MINUTE)
    exchange.stop()
    return folder


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("terminal", [True, False], ids=["terminal", "pipe"])
@pytest.mark.parametrize("command", [each for each in ("reconcile", "timeline") if each in COMMAND_WORDS])
def test_no_text_reproduces_the_structure_of_a_view_of_both_journals(
    exchanges: dict[str, Path], command: str, language: str, *, terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SPEC M8.4"""
    monkeypatch.setenv("COLUMNS", str(COLUMNS))
    monkeypatch.setenv("TERM", "dumb")
    seen = []
    for folder in exchanges.values():
        out, err = run(command, *(folder / side for side in SIDES), terminal=terminal, language=language)
        assert not unprintable(out + err)
        assert not terminal or not too_wide(out.splitlines(), COLUMNS)
        assert not err
        seen.append(structure(out.replace(str(folder), "").split("\n"), 1, 10))
    assert len(seen[0]) > len(CORPUS)
    assert seen[0] == seen[1]
