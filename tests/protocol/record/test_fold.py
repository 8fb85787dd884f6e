"""Journals of older rules: the migration of their states, and the fold of their events under the present rules."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import UNSET, Raw, structs

from protocol.core.core import Core
from protocol.core.effects import AnyEffect, Effect, Notify, Queue
from protocol.core.events import BatchClosed, NotificationDone
from protocol.core.link import Link
from protocol.core.observer import Observer
from protocol.core.start_events import EpochOpened
from protocol.record.fold import FoldError, fold
from protocol.record.journal import ORIGIN, Checkpoint, Entry, Record, decode, encode
from protocol.record.migration import migrated, objection
from tests.golden import cases
from tests.support.cast import Peer, alert, an_alert, cancel, ref
from tests.support.journal_samples import empty, records
from tests.support.world import End

OLDER = {
    f"{archive.parent.name}/{archive.name.removesuffix(cases.SUFFIX)}": archive
    for archive in cases.archives()
    if cases.rules_of(archive) != Core.RULES
}
OF_ITS_OWN = {
    "alarms",
    "alarm_repeats",
    "connection_trouble",
    "connection_trouble_said",
    "deadlines",
    "last_signed",
    "notifications",
    "peer_clocks",
    "present",
}
"""What a state keeps of a side's own people, of presence, and of clocks."""
OWN_RULES = cases.GOLDEN / f"rules-{Core.RULES}" / cases.ONE_SEGMENT.name


@pytest.fixture(scope="module", params=OLDER)
def older(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a case of older rules; nothing in it may be changed."""
    case = tmp_path_factory.mktemp("older")
    cases.unpack(OLDER[request.param], case)
    return case


@pytest.fixture(params=[cases.ONE_SEGMENT, OWN_RULES])
def any_case(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Journals of one segment each, of older and of the present rules."""
    cases.unpack(request.param, tmp_path / "case")
    return tmp_path / "case"


@pytest.fixture
def case(tmp_path: Path) -> Path:
    """Journals of one segment each, which no checkpoint opens."""
    cases.unpack(cases.ONE_SEGMENT, tmp_path / "case")
    return tmp_path / "case"


def journals(case: Path) -> list[list[Record]]:
    return [records(folder) for folder in sorted((case / "journal").iterdir())]


def plain(effects: Iterable[Effect]) -> Any:
    return msgspec.json.decode(msgspec.json.encode(tuple(effects)))


def same(record: Record, effects: tuple[Effect, ...]) -> None:
    """Compare the effects that the other side can notice: its view of this side must not change.

    What this side says to its own people may differ: alarms, notifications, and the wording of a refused frame.
    """
    recorded, computed = (noticed(plain(each)) for each in (record.effects, effects))
    assert recorded == computed, record.n


def noticed(effects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    own = {"RaiseAlarm", "ClearAlarm", "Notify"}
    return [{**each, "detail": ""} for each in effects if each["effect"] not in own]


def lasting(state: bytes | Raw) -> Any:
    """Return what a state keeps for the other side: without alarms, notices, presence, and times that older ones lack.

    Alarms and notifications that the rules have in common are compared by their names.
    """
    value = msgspec.json.decode(state)
    for each in (*value["alerts"].values(), *value["watch"]["tests"].values()):
        each["sent_at"] = None
    for test in value["watch"]["tests"].values():
        test["placed_by"] = None
    for opened in value["alerts"].values():
        # older checkpoints keep the last reply, without its reference
        opened |= {"acts": [], "acts_earlier": 0}
    if "officer_requests" in value:
        value["officer_requests"]["ended"] = {}
    if "outbox" in value["epoch"]:
        outbox = value["epoch"]["outbox"]  # of receipted messages, rules 1 and 2 keep no hash
        outbox["hashes"] = {seq: head for seq, head in outbox["hashes"].items() if int(seq) > outbox["receipted"]}
    messages = [name for name in value["notifications"]["pending"] if name.startswith("message/")]
    armed = [key for key in value["deadlines"]["armed"] if key.startswith(("receipt/", "answer/", "acknowledgement/"))]
    alarms = [key for key in value["alarms"] if not key.startswith(("clock_skew/", "peer_disconnected/"))]
    kept = {name: each for name, each in value.items() if name not in OF_ITS_OWN}
    return kept | {"messages": messages, "armed": armed, "alarms": alarms}


def forged(original: list[Record], changes: dict[int, tuple[Entry, tuple[AnyEffect, ...]]]) -> list[Record]:
    """Return the records with some replaced, hashed anew."""
    prev, made = ORIGIN, []
    for record in original:
        entry, effects = changes.get(record.n, (record.entry, record.effects))
        line, prev = encode(record.n, record.link, record.side, record.batch, entry, effects, prev)
        made.append(decode(line))
    return made


# --- migration ----------------------------------------------------------------------------------------------------


def test_older_events_send_what_was_sent_and_lead_to_the_states_of_the_migration(older: Path) -> None:
    """Rules 2 change the state only; rules 3 and 4 judge clocks, presence and alarms otherwise."""
    for journal in journals(older):
        core: Core = empty(journal[0])
        begins = [place for place, record in enumerate(journal) if isinstance(record.entry, Checkpoint)]
        for begin, end in pairwise([0, *begins, len(journal)]):
            entry = journal[begin].entry
            if isinstance(entry, Checkpoint):
                state = migrated(entry.state, entry.core, entry.rules)
                assert lasting(core.checkpoint()) == lasting(state), journal[begin].n
                assert type(core).restore(state).checkpoint() == state, journal[begin].n
            core = fold(journal[begin:end], core, same)


def test_an_upgrade_notifies_of_nothing_but_what_was_not_done(older: Path) -> None:
    """Old news would page people at the first start: ends and repeats of alarms, and what rules 4 hold back."""
    for journal in journals(older):
        recorded = {each.id for record in journal for each in record.effects if isinstance(each, Notify)}
        done = {record.entry.id for record in journal if isinstance(record.entry, NotificationDone)}
        core = fold(journal, empty(journal[0]))
        assert set(core.state.notifications.pending) == recorded - done
        begins = [place for place, record in enumerate(journal) if isinstance(record.entry, Checkpoint)]
        if begins:
            core = fold(journal[begins[-1] :], empty(journal[0]))
            assert set(core.state.notifications.pending) == recorded - done


def test_the_migration_is_pure_and_gives_a_whole_state(older: Path) -> None:
    for journal in journals(older):
        for record in journal:
            if isinstance(record.entry, Checkpoint):
                entry = record.entry
                before = bytes(entry.state)
                first, again = (migrated(entry.state, entry.core, entry.rules) for _ in range(2))
                assert bytes(first) == bytes(again)
                assert bytes(entry.state) == before
                restored = type(empty(record)).restore(first)
                assert restored.checkpoint() == first
                assert restored.terms is not None


def test_alerts_that_no_change_may_name_are_found_in_a_state_of_rules_2() -> None:
    """SPEC B3.3, B6.3: rules 2 kept them as any other alert."""
    end, peer = End.started("ndmc", quiet=True), Peer("eucom")
    changes = [(1, "update"), (2, "cancellation")]
    bodies = [an_alert(), *(an_alert(change={"of": ref(of), "kind": kind}) for of, kind in changes), an_alert()]
    end.receive(peer.sends(*[peer.says(body) for body in bodies]))
    for cue in (alert(), cancel("ndmc/1/1")):
        end.happens(*cue.happenings)
    state = msgspec.json.decode(end.core.checkpoint())
    kinds = {party: known["kinds"] for party, known in state["references"].items()}
    final = {ref for known in kinds.values() for ref, kind in known.items() if kind == "final_alert"}
    assert final == {"eucom/1/1", "eucom/1/2", "eucom/1/3", "ndmc/1/2"}
    older = json.loads(json.dumps(state).replace('"final_alert"', '"alert"'))
    del older["references"]["eucom"]["kinds"]["eucom/1/1"]  # forgotten: it counts as closed
    del kinds["eucom"]["eucom/1/1"]
    references = msgspec.json.decode(migrated(raw(older), "Link", "2"))["references"]
    assert {party: known["kinds"] for party, known in references.items()} == kinds


def test_a_state_without_an_epoch_is_migrated() -> None:
    state = {
        "link": "eucom-ndmc",
        "side": "eucom",
        "terms": None,
        "keys": {},
        "timeline": {"at": 0, "mono": 0, "age": 0, "armed": {}},
        "alarms": {},
        "notices": {"pending": {}, "given_up": 0},
        "watch": {"slots": {}, "slots_until": 0, "tzdata": "", "tests": {}},
        "alerts": {},
        "requests": {},
        "connected": False,
        "present": {},
    }
    watch = state | {"side": "watch", "streams": {}, "receipted": {}}
    assert migrated(raw(watch), "Observer", "1") == Observer.new("eucom-ndmc").checkpoint()
    link: dict[str, Any] = state | {
        "outbox": {},
        "inbox": {},
        "desk": {"drafts": {}, "last_draft": 0, "cancellations": {}},
        "known": {},
        "undelivered": [],
        "receipt_owed": False,
        "foreign_answered_age": None,
    }
    assert migrated(raw(link), "Link", "1") == Link.new("eucom-ndmc", "eucom").checkpoint()
    wrong: Any
    for wrong in (state, [], None):
        with pytest.raises(ValueError, match="not a state of Link, rules 1"):
            migrated(raw(wrong), "Link", "1")


def raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        ("1", ""),
        ("2", ""),
        ("3", "written by a newer version (rules 3; this version knows rules up to 2)"),
        ("10", "written by a newer version (rules 10; this version knows rules up to 2)"),
    ],
)
def test_which_rules_can_be_continued(rules: str, reason: str) -> None:
    assert objection(rules, "2") == reason


# --- the fold -----------------------------------------------------------------------------------------------------


def test_newer_rules_are_refused(case: Path) -> None:
    journal = records(case / "journal" / "eucom")
    first = journal[0]
    assert isinstance(first.entry, EpochOpened)
    assert first.entry.rules is UNSET
    newer = forged(journal, {1: (structs.replace(first.entry, rules="99"), first.effects)})
    with pytest.raises(
        FoldError, match=r"record 1: written by a newer version \(rules 99; .*: run the version that wrote it"
    ):
        fold(newer, empty(first))
    core = fold(journal, empty(first))
    entry = Checkpoint(at=1, mono=1, rules="99", core="Link", state=core.checkpoint())
    line, _ = encode(9, first.link, first.side, 9, entry, (), ORIGIN)
    with pytest.raises(FoldError, match="record 9: written by a newer version"):
        fold([decode(line)], empty(first))


def test_messages_that_were_sent_must_be_sent_again(any_case: Path) -> None:
    """Under the present rules too: a library may have changed a text that a message quotes."""
    journal = records(any_case / "journal" / "eucom")
    said = next(record for record in journal if any(isinstance(effect, Queue) for effect in record.effects))
    queued = next(effect for effect in said.effects if isinstance(effect, Queue))
    others = tuple(effect for effect in said.effects if effect is not queued)
    message = structs.replace(queued.message, body={**queued.message.body, "type": "another"})
    further = structs.replace(queued.message, seq=queued.message.seq + 1)
    for effects, contradiction in [
        ((Queue(message=message), *others), f"send another message {queued.message.seq}"),
        ((queued, Queue(message=further), *others), f"not send message {queued.message.seq + 1}"),
        (others, f"send message {queued.message.seq}"),
    ]:
        wrong = f"record {said.n}: this version would {contradiction}, unlike the one that wrote it: run that version"
        with pytest.raises(FoldError, match=wrong):
            fold(forged(journal, {said.n: (said.entry, effects)}), empty(said))


def test_frames_that_were_sent_must_be_those_of_the_present_rules(case: Path) -> None:
    journal = records(case / "journal" / "eucom")
    sealed = [record for record in journal if isinstance(record.entry, BatchClosed) and record.entry.frames]
    changed = structs.replace(sealed[1].entry, frames=sealed[0].entry.frames)  # type: ignore[union-attr]
    with pytest.raises(FoldError, match=f"record {sealed[1].n}: this version cannot apply it: the frames do not seal"):
        fold(forged(journal, {sealed[1].n: (changed, sealed[1].effects)}), empty(journal[0]))


def test_other_effects_of_older_rules_are_history(case: Path) -> None:
    journal = records(case / "journal" / "eucom")
    told = next(record for record in journal if any(isinstance(effect, Notify) for effect in record.effects))
    without = tuple(effect for effect in told.effects if not isinstance(effect, Notify))
    core = fold(forged(journal, {told.n: (told.entry, without)}), empty(told))
    assert core.checkpoint() == fold(journal, empty(told)).checkpoint()


def test_a_checkpoint_of_another_core_or_of_no_state_is_refused(case: Path) -> None:
    first = records(case / "journal" / "eucom")[0]
    state: dict[str, Any] = {}
    for core, wrong in [
        ("Observer", "it is a checkpoint of Observer, where one of Link must stand"),
        ("Link", "this version cannot apply it: .*; run the version that wrote it"),
    ]:
        entry = Checkpoint(at=1, mono=1, rules=Core.RULES, core=core, state=raw(state))
        line, _ = encode(9, first.link, first.side, 9, entry, (), ORIGIN)
        with pytest.raises(FoldError, match=f"record 9: {wrong}"):
            fold([decode(line)], empty(first))


@pytest.mark.parametrize("change", [{"outbox": {}}, {"alarms": None}, {"connected": None}])
def test_a_state_that_this_version_would_not_write_is_refused(change: dict[str, Any]) -> None:
    """A field that is missing or unknown would silently get its default or be lost."""
    state = msgspec.json.decode(Link.new("eucom-ndmc", "eucom").checkpoint()) | change
    state = {key: value for key, value in state.items() if value is not None or key == "epoch"}
    entry = Checkpoint(at=1, mono=1, rules=Core.RULES, core="Link", state=raw(state))
    line, _ = encode(9, "eucom-ndmc", "eucom", 9, entry, (), ORIGIN)
    wrong = "record 9: this version writes this state differently; run the version that wrote it"
    with pytest.raises(FoldError, match=wrong):
        fold([decode(line)], Link.new("eucom-ndmc", "eucom"))
