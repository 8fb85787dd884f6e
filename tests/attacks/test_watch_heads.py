"""The journal of the watch, moved by someone who does not hold its key; and the watch's key where no key of it counts.

Each forged journal runs through the real rules again, and every record follows from the one before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import UNSET, structs

from endpoints.config import link_file as link_files
from endpoints.config.link_file import LinkFile, WatchEntry
from endpoints.errors import UserError
from endpoints.keys.signer import Signer
from protocol.core.alarms import AlarmCode
from protocol.core.effects import RejectFrame
from protocol.core.link_keys import LinkKeys
from protocol.core.start_events import EpochOpened, KeysChanged
from protocol.errors import EnrolmentError
from protocol.record.journal import (
    HEAD_TYPE,
    ORIGIN,
    Checkpoint,
    Closed,
    Entry,
    HeadSigned,
    Record,
    decode,
    encode,
    head_payload,
)
from protocol.wire.instants import parsed
from protocol.wire.keyring import Keyring
from protocol.wire.messages import Message
from protocol.wire.policy import EnrolledKey
from tests.attacks.forge import Edit, forge, records, signer_of, write
from tests.attacks.scene import ROGUE, Scene, alert, arrives, enrols, inserted, message_frame, moved, with_keys
from tests.golden.cases import Run
from tests.golden.continuing import deconflict, rich
from tests.support.exchange import Exchange, link_file
from tests.support.small_day import a_day, begun
from tests.support.world import HOUR, MINUTE, Frame

FIVE_MINUTES = 5 * MINUTE
KEY = Signer({"watch-1": Ed25519PrivateKey.from_private_bytes(bytes([9]) * 32)})
NEXT_KEY = Signer({"watch-2": Ed25519PrivateKey.from_private_bytes(bytes([10]) * 32)})
NOT_VOUCHED = {
    "en": "the watch's journal is not vouched for: no link file with a key of the watch was given",
    "ru": "журнал наблюдения не заверен: не указан файл линии с ключом наблюдения",
}
ALL = ("journal/eucom", "journal/ndmc", "--watch")


def with_watch(*keys: EnrolledKey, file: LinkFile | None = None) -> LinkFile:
    return structs.replace(file or link_file(), watch=WatchEntry(keys=keys or KEY.enrolled))


def scene_in(folder: Path, segment_bytes: int = 1 << 20) -> Scene:
    scene = Scene(folder, with_watch())
    a_day(folder / "journal", file=scene.file, watch=KEY, segment_bytes=segment_bytes)
    return scene


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return scene_in(tmp_path_factory.mktemp("day"))


@pytest.fixture(scope="module")
def honest_segments(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """The same, with a checkpoint every few records."""
    return scene_in(tmp_path_factory.mktemp("segments"), segment_bytes=4_000)


@pytest.fixture(params=["one segment", "several segments"])
def scene(honest: Scene, honest_segments: Scene, tmp_path: Path, request: pytest.FixtureRequest) -> Scene:
    """The journals of a day, beside which each test forges its own."""
    day = honest if request.param == "one segment" else honest_segments
    (tmp_path / "journal").symlink_to(day.folder / "journal")
    return Scene(tmp_path, day.file)


def hashed_anew(scene: Scene, edit: Edit) -> str:
    """Write the watch's journal with edited entries and the signed heads as they were."""
    made, prev = [], ORIGIN
    for record in scene.records("watch"):
        (entry,) = edit(record, None)
        line, prev = encode(record.n, record.link, record.side, record.batch, entry, record.effects, prev)
        made.append(decode(line))
    write(made, scene.folder / "forged" / "watch")
    return "forged/watch"


def run_again(scene: Scene, edit: Edit, signer: Signer | None) -> str:
    """Write the watch's journal with edited events, run through the rules, its heads signed by `signer` or left out."""
    write(forge(scene.records("watch"), signer, edit), scene.folder / "forged" / "watch")
    return "forged/watch"


def is_found(scene: Scene, forged: str) -> Run:
    run = scene.verify(forged)
    assert (run.exit, run.document["vouched_for"]) == (4, 0)
    assert run.document["problems"]
    assert scene.reconcile(*ALL, forged).exit == 4
    assert scene.reconcile("journal/eucom", forged).exit == 4
    return run


def test_the_honest_journal_of_the_watch_is_vouched_for(scene: Scene) -> None:
    run = scene.verify("journal/watch")
    last = len(scene.records("watch")) - 1
    assert (run.exit, run.document["vouched_for"], run.document["sealed_upto"]) == (0, last, last)
    assert run.document["judged_under"][0]["signatures"] > 3
    agreed = scene.reconcile(*ALL, "journal/watch")
    assert agreed.exit == 0
    assert agreed.document["vouched_for"]["watch"] == {"records": last + 1, "vouched_for": last}


@pytest.mark.parametrize("by_ms", [FIVE_MINUTES, -FIVE_MINUTES, 1])
def test_all_of_it_is_moved_and_hashed_anew(scene: Scene, by_ms: int) -> None:
    forged = hashed_anew(scene, moved(by_ms, lambda _record: True))
    assert "does not vouch for the records before it" in is_found(scene, forged).document["problems"][0]["reason"]


def test_it_is_moved_and_signed_with_another_key(scene: Scene) -> None:
    for signer in (ROGUE, signer_of("eucom"), signer_of("ndmc")):
        is_found(scene, run_again(scene, moved(FIVE_MINUTES, lambda _record: True), signer))
        (scene.folder / "forged").rename(scene.folder / f"forged-{id(signer)}")


def test_its_journal_is_that_of_another_watch(scene: Scene) -> None:
    """The heads name the side, so that they cannot be those of another watch's journal."""
    made, prev = [], ORIGIN
    for record in scene.records("watch"):
        line, prev = encode(record.n, record.link, "watch-b", record.batch, record.entry, record.effects, prev)
        made.append(decode(line))
    write(made, scene.folder / "forged" / "watch-b")
    assert scene.verify("forged/watch-b").exit == 4


# --- left out heads -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def honest_hours(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """Two hours with an alert every six minutes, and a restart of the watch."""
    scene = Scene(tmp_path_factory.mktemp("hours"), with_watch())
    exchange = begun(scene.folder / "journal", file=scene.file, watch=KEY)
    _alerts(exchange, HOUR)
    exchange.ends["watch"].crash()
    exchange.ends["watch"].restart()
    _alerts(exchange, HOUR)
    exchange.stop()
    return scene


def _alerts(exchange: Exchange, duration: int) -> None:
    for _ in range(duration // (6 * MINUTE)):
        exchange.delivered("eucom")
        exchange.run(6 * MINUTE)


@pytest.fixture
def hours(honest_hours: Scene, tmp_path: Path) -> Scene:
    (tmp_path / "journal").symlink_to(honest_hours.folder / "journal")
    assert honest_hours.verify("journal/watch").exit == 0
    return Scene(tmp_path, honest_hours.file)


def unsigned(record: Record, _core: Any) -> Iterable[Entry]:
    entry = structs.replace(record.entry, at=record.entry.at + FIVE_MINUTES)
    return (structs.replace(entry, signed_head=UNSET),) if isinstance(entry, Checkpoint | Closed) else (entry,)


def test_it_is_moved_and_its_heads_are_left_out(hours: Scene) -> None:
    run = is_found(hours, run_again(hours, unsigned, None))
    assert "no signed head covers records 6 to" in run.document["problems"][0]["reason"]


def test_it_is_moved_under_older_rules(hours: Scene) -> None:
    """Older rules had no `HeadSigned`; a link file with the watch's key demands signed heads all the same."""

    def older(record: Record, core: Any) -> Iterable[Entry]:
        for entry in unsigned(record, core):
            yield structs.replace(entry, rules="2") if isinstance(entry, EpochOpened) else entry

    is_found(hours, run_again(hours, older, None))


def test_it_is_moved_and_its_monotonic_clock_stands_still(hours: Scene) -> None:
    """The time between two heads is measured by both clocks."""

    def still(record: Record, core: Any) -> Iterable[Entry]:
        for entry in unsigned(record, core):
            yield structs.replace(entry, mono=60_000)

    is_found(hours, run_again(hours, still, None))


def test_the_records_after_a_head_are_moved(hours: Scene) -> None:
    """What precedes the head stays vouched for; what follows it is found."""
    head = next(record.n for record in hours.records("watch") if isinstance(record.entry, HeadSigned))

    def tail(record: Record, core: Any) -> Iterable[Entry]:
        if record.n <= head:
            return (record.entry,)
        return () if isinstance(record.entry, HeadSigned) else unsigned(record, core)

    made: list[Record] = []
    for each in forge(hours.records("watch"), KEY, lambda record, core: [*tail(record, core)]):
        # without the heads that the forging tool adds where the service would have
        if each.n <= head or not isinstance(each.entry, HeadSigned):
            prev, n = (made[-1].hash, made[-1].n + 1) if made else (ORIGIN, 1)
            batch = n if not made or made[-1].ends_batch else made[-1].batch
            line, _ = encode(n, each.link, each.side, batch, each.entry, each.effects, prev)
            made.append(decode(line))
    write(made, hours.folder / "forged" / "watch")
    run = hours.verify("forged/watch")
    assert (run.exit, run.document["vouched_for"]) == (4, head - 1)
    assert "no signed head covers records" in run.document["problems"][0]["reason"]


def test_the_end_is_cut(hours: Scene) -> None:
    """A cut journal is intact, and the verdict counts what the last signed head covers."""
    journal = hours.records("watch")
    head = [record.n for record in journal if isinstance(record.entry, HeadSigned)][-1]
    write(journal[: head + 2], hours.folder / "forged" / "watch")
    run = hours.verify("forged/watch")
    assert (run.exit, run.document["records"], run.document["vouched_for"]) == (0, head + 2, head - 1)
    assert f"{head - 1} of {head + 2} records vouched for" in rich(
        hours.folder, ["log", "verify", "forged/watch", "--link-file", "link.toml", "--lang", "en"]
    )


# --- without a key ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lang", ["en", "ru"])
def test_without_a_key_in_the_link_file_the_verdict_says_so(scene: Scene, lang: str) -> None:
    scene.save("old.toml", link_file())
    for given in ([], ["--link-file", "old.toml"]):
        for words in (["log", "verify", "journal/watch"], ["reconcile", *ALL, "journal/watch"]):
            assert NOT_VOUCHED[lang] in rich(scene.folder, [*words, *given, "--lang", lang])
    assert NOT_VOUCHED[lang] not in rich(
        scene.folder, ["reconcile", *ALL, "journal/watch", "--link-file", "link.toml", "--lang", lang]
    )
    assert NOT_VOUCHED[lang] not in rich(scene.folder, ["log", "verify", "journal/eucom", "--lang", lang])
    run = scene.verify("journal/watch", "--link-file", "old.toml")
    assert (run.exit, run.document["vouched_for"]) == (0, 0)


def test_a_watch_without_a_key_is_not_vouched_for(tmp_path: Path) -> None:
    """It works as before; under a link file that enrols a key for it, its unsigned heads are found."""
    scene = Scene.of_a_day(tmp_path)
    assert scene.verify("journal/watch").exit == 0
    assert scene.reconcile(*ALL, "journal/watch").exit == 0
    exchange = begun(tmp_path / "long", file=with_watch())
    _alerts(exchange, HOUR)
    exchange.stop()
    scene.save("with-watch.toml", with_watch())
    run = scene.verify("long/watch", "--link-file", "with-watch.toml")
    assert run.exit == 4
    assert scene.verify("long/watch").exit == 0


# --- keys of the watch that change --------------------------------------------------------------------------------


def rotated(folder: Path, first: Signer | None) -> Scene:
    """Return a scene in which the watch changes its key, or gets its first one, under one epoch."""
    old = with_watch(*first.enrolled) if first else link_file()
    scene = Scene(folder, with_watch(*NEXT_KEY.enrolled))
    scene.save("old.toml", old)
    exchange = begun(folder / "journal", file=old, watch=first)
    _alerts(exchange, HOUR)
    exchange.stop()
    exchange = Exchange(folder / "journal", scene.file, signers={"watch": NEXT_KEY})
    exchange.open()
    exchange.start()
    _alerts(exchange, HOUR)
    exchange.stop()
    return scene


FILES = ("--link-file", "old.toml", "--link-file", "link.toml")


@pytest.mark.parametrize("first", [KEY, None], ids=["another key", "the first key"])
def test_a_watch_gets_a_key(tmp_path: Path, first: Signer | None) -> None:
    scene = rotated(tmp_path, first)
    run = scene.verify("journal/watch", *FILES)
    assert (run.exit, run.document["vouched_for"]) == (0, run.document["records"] - 1)
    assert scene.verify("journal/watch", *FILES[2:], *FILES[:2]).exit == 0
    # the file of every rotation has to be given
    assert scene.verify("journal/watch").exit == 4
    assert scene.verify("journal/watch", "--link-file", "old.toml").exit == (4 if first else 0)


def test_a_replaced_key_vouches_for_nothing_more(tmp_path: Path) -> None:
    scene = rotated(tmp_path, KEY)
    journal = scene.records("watch")
    again = next(record.n for record in journal if isinstance(record.entry, HeadSigned) and b"watch-2" in _head(record))
    made: list[Record] = []
    for record in journal:
        prev = made[-1].hash if made else ORIGIN
        entry = record.entry
        if isinstance(entry, HeadSigned | Closed):
            signer = NEXT_KEY if record.n == again else KEY
            head = signer.seal(HEAD_TYPE, head_payload(record.link, record.side, record.n - 1, prev)).decode()
            entry = structs.replace(entry, signed_head=head)
        line, _ = encode(record.n, record.link, record.side, record.batch, entry, record.effects, prev)
        made.append(decode(line))
    write(made, scene.folder / "forged" / "watch")
    run = scene.verify("forged/watch", *FILES)
    assert (run.exit, run.document["vouched_for"]) == (4, again - 1)


def _head(record: Record) -> bytes:
    assert isinstance(record.entry, HeadSigned)
    return record.entry.signed_head.encode()


@pytest.mark.parametrize("first", [KEY, None], ids=["another key", "the first key"])
def test_a_changed_key_of_the_watch_raises_an_alarm_everywhere(tmp_path: Path, first: Signer | None) -> None:
    """SPEC E1.9, F5.4: under one epoch it waits for an officer, who compares the fingerprint; nothing else stops."""
    scene = rotated(tmp_path, first)
    file = scene.file
    exchange = Exchange(tmp_path / "journal", file, signers={"watch": NEXT_KEY}, tag="alarm")
    exchange.open()
    exchange.start()
    for end in exchange.ends.values():
        (alarm,) = [each for each in end.core.snapshot().alarms if each.code is AlarmCode.KEYS_CHANGED]
        assert alarm.active
        assert "added [watch]/watch-2 (" in alarm.detail
        assert f"removed {'[watch]/watch-1 (' if first else 'none'}" in alarm.detail
        assert end.core.keys.accepted == file.keys
    exchange.accept_keys()
    exchange.delivered("eucom")
    for end in exchange.ends.values():
        assert not [each for each in end.core.snapshot().alarms if each.code is AlarmCode.KEYS_CHANGED and each.active]
        assert end.core.keys == LinkKeys(file.keys, watch=file.watch_keys)
    exchange.stop()
    # a start on the same file is no change
    exchange = Exchange(tmp_path / "journal", file, signers={"watch": NEXT_KEY}, tag="again")
    exchange.open()
    exchange.start()
    exchange.stop()
    for name in exchange.ends:
        changes = [each for each in records(tmp_path / "journal" / name) if isinstance(each.entry, KeysChanged)]
        assert len(changes) == 1
        assert deconflict(tmp_path, ["replay", f"journal/{name}", "--json"]).exit == 0
        assert scene.verify(f"journal/{name}", *FILES).exit == 0


# --- the watch's key signs no frame -------------------------------------------------------------------------------


def frame_of(sender: str, signer: Signer) -> bytes:
    file = link_file()
    at = parsed("2022-11-29T08:00:00.000Z")
    message = Message(seq=1, prev="0" * 64, at="2022-11-29T08:00:00.000Z", body=alert(at, "Invented"))
    return message_frame(file.terms, sender, signer, message)


def test_a_frame_under_the_watchs_key_is_refused() -> None:
    """SPEC E1.9, F3.4, F3.5: for each party that the topic may name, and for the watch."""
    file = with_watch()
    ring = Keyring(file.keys, file.terms.policy.suite)
    for sender in file.parties:
        assert ring.judge("message", sender, frame_of(sender, KEY)) == "bad_signature"
    assert ring.judge("message", "watch", frame_of("eucom", KEY)) == "unknown_sender"


@pytest.mark.parametrize("name", ["eucom", "ndmc", "watch"])
def test_a_running_link_refuses_it(tmp_path: Path, name: str) -> None:
    exchange = begun(tmp_path, file=with_watch(), watch=KEY)
    end = exchange.ends[name]
    sender = "eucom" if name != "eucom" else "ndmc"
    end.receive(Frame(sender, "message", frame_of(sender, KEY)))
    end.turn()
    exchange.stop()
    effects = [effect for record in records(tmp_path / name) for effect in record.effects]
    assert [effect.reason for effect in effects if isinstance(effect, RejectFrame)] == ["bad_signature"]


def test_a_journal_that_took_one_is_found(scene: Scene) -> None:
    """The forger enrols the watch's key for a party for a minute, and takes a frame under it."""
    journal = scene.records("eucom")
    before = next(record.n for record in journal if isinstance(record.entry, Closed)) - 2
    keys = with_keys(scene.file, ndmc=(*scene.file.keys["ndmc"], *KEY.enrolled)).keys

    def takes(record: Record, _core: Any) -> Iterator[Entry]:
        yield enrols(record, keys)
        yield arrives(record, "ndmc", frame_of("ndmc", KEY))

    forged = scene.forged("eucom", inserted(before, takes))
    run = scene.verify(forged)
    assert run.exit == 4
    assert any("are not those of the link file" in each["reason"] for each in run.document["problems"])


def test_its_public_key_may_not_be_a_partys_too(tmp_path: Path) -> None:
    """SPEC F5.2: in a link file, and in a keyring."""
    file = with_watch()
    for twice in (
        with_keys(file, ndmc=(*file.keys["ndmc"], *KEY.enrolled)),
        with_watch(*file.keys["eucom"], file=file),
        with_watch(*KEY.enrolled, structs.replace(KEY.enrolled[0], id="again"), file=file),
    ):
        link_files.save(twice, tmp_path / "twice.toml")
        with pytest.raises(UserError, match="public key"):
            link_files.load(tmp_path / "twice.toml")
    with pytest.raises(EnrolmentError, match="is the same as"):
        Keyring({**file.keys, "watch": file.keys["eucom"]}, "ed25519")


def test_a_weak_or_missing_key_of_the_watch_is_refused(tmp_path: Path) -> None:
    """SPEC E1.9, F5.1, F5.3"""
    weak = EnrolledKey(id="weak", algorithm="ed25519", public="AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
    for keys, why in (((weak,), "low order"), ((), "length")):
        table = with_watch(file=link_file())
        link_files.save(structs.replace(table, watch=WatchEntry(keys=keys)), tmp_path / "wrong.toml")
        with pytest.raises(UserError, match=why):
            link_files.load(tmp_path / "wrong.toml")


def test_the_fingerprint_covers_the_watchs_key_and_old_files_keep_theirs() -> None:
    """SPEC E1.7: a file without the table has the digest that it always had."""
    assert link_file().digest == "6710abc87c7e2ec33fb4118a0342ab77b6442071379bb4ec4466b26ac58e5c7f"
    assert len({link_file().digest, with_watch().digest, with_watch(*NEXT_KEY.enrolled).digest}) == 3
