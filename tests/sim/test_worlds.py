"""The simulated world: a seed decides everything, planted bugs are found, failures shrink. Many seeds: `test_seeds`."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from endpoints.journal.writer import Batch, JournalWriter
from protocol.core.alarm_book import AlarmBook
from protocol.core.alerts import Alerts
from protocol.core.effects import Effect
from protocol.core.events import SessionBegan, SessionEnded
from protocol.core.link import Link
from protocol.core.stream import Inbox, Outbox
from protocol.core.watch import Watch
from protocol.record.journal import Entry
from protocol.wire.instants import Millis
from scenario.simulation.faults import CALM, DAY, HOUR, Fault, Plan, PlannedAct, draw
from scenario.simulation.shrink import attempt, failure
from scenario.simulation.simulate import line, main, quiet
from scenario.simulation.world import Totals, world

DAYS = 8


@pytest.fixture(autouse=True)
def _quiet() -> None:
    quiet()


def told(plan: Plan) -> list[bytes]:
    lines: list[bytes] = []

    def hear(at: Millis, process: str, entry: Entry, effects: Sequence[Effect]) -> None:
        lines.append(msgspec.json.encode((at, process, entry, effects)))

    happening = world(plan)
    happening.invariants.listen(hear)
    happening.run()
    return lines


def test_one_seed_decides_everything() -> None:
    assert told(draw(5, DAYS)) == told(draw(5, DAYS))
    assert told(draw(5, DAYS)) != told(draw(6, DAYS))


def test_a_plan_ends_its_faults_before_the_calm() -> None:
    for seed in range(50):
        plan = draw(seed, DAYS)
        assert all(fault.at + fault.lasts < DAYS * DAY - CALM for fault in plan.faults)
        assert list(plan.faults) == sorted(plan.faults, key=lambda fault: fault.at)


@pytest.mark.parametrize("seed", [3, 5])
def test_sessions_of_consoles_begin_and_end_once_whatever_fails(seed: int) -> None:
    """SPEC W7.1: the officer asks again after each crash, under the same request."""
    plan = draw(seed, DAYS)
    reads = [
        PlannedAct(at=hour * HOUR, side=side, kind="session", amount=2 * HOUR)
        for hour in range(1, (DAYS - 2) * 24, 5)
        for side in ("eucom", "ndmc")
    ]
    acts = tuple(sorted((*plan.acts, *reads), key=lambda act: act.at))
    seen: dict[str, list[str]] = {"SessionBegan": [], "SessionEnded": []}

    def hear(_at: Millis, process: str, entry: Entry, _effects: Sequence[Effect]) -> None:
        if isinstance(entry, SessionBegan | SessionEnded):
            seen[type(entry).__name__].append(f"{process}/{entry.session}")

    happening = world(msgspec.structs.replace(plan, acts=acts))
    happening.invariants.listen(hear)
    happening.run()
    began, ended = seen["SessionBegan"], seen["SessionEnded"]
    assert len(began) == len(set(began)) == len(reads)
    assert sorted(began) == sorted(ended)


def test_totals_are_one_line() -> None:
    totals = attempt(draw(3, DAYS))
    assert isinstance(totals, Totals)
    both = Totals()
    both.add(totals)
    both.add(totals)
    assert both.seeds == 2
    assert both.records == 2 * totals.records
    text = line(both, 1.0)
    assert "\n" not in text
    assert text.startswith("2 seeds, 16 simulated days, ")


# --- planted bugs -----------------------------------------------------------------------------------------------------


def settles_too_much(patch: pytest.MonkeyPatch) -> None:
    judge = Outbox.judge
    patch.setattr(Outbox, "judge", lambda self, claim: "news" if claim.upto < self.state.last else judge(self, claim))


def applies_out_of_order(patch: pytest.MonkeyPatch) -> None:
    original = Inbox.next_message

    def skips(self: Inbox) -> Any:
        message = original(self)
        if message is not None and message.seq % 9 == 0:
            return original(self) or message
        return message

    patch.setattr(Inbox, "next_message", skips)


def forgets_what_was_applied(patch: pytest.MonkeyPatch) -> None:
    original = Inbox.next_message

    def again(self: Inbox) -> Any:
        message = original(self)
        if message is not None and message.seq % 20 == 0 and self.state.stopped != "again":
            self.state.upto -= 1
            self.state.stopped = "again"
        return message

    patch.setattr(Inbox, "next_message", again)


def raises_alarms_again(patch: pytest.MonkeyPatch) -> None:
    original = AlarmBook.raise_alarm

    def anew(self: AlarmBook, turn: Any, code: Any, subject: str, *rest: Any, **more: Any) -> None:
        self._alarms.pop(f"{code}/{subject}", None)
        original(self, turn, code, subject, *rest, **more)

    patch.setattr(AlarmBook, "raise_alarm", anew)


def never_judges_slots(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Watch, "judge_slots", lambda _self, _turn: None)


def judges_slots_in_local_time(patch: pytest.MonkeyPatch) -> None:
    original = Watch.judge_slots
    patch.setattr(
        Watch, "judge_slots", lambda self, turn: original(self, msgspec.structs.replace(turn, at=turn.at + 3_600_000))
    )


def takes_blindness_for_silence(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Watch, "blind", lambda _self, _since, _until: [])


def takes_any_words_for_an_answer(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Watch, "overdue", lambda _self, _turn, _kind, _ref, _raised_at: None)


def acknowledges_every_alert_at_once(patch: pytest.MonkeyPatch) -> None:
    def all_of_them(self: Alerts, turn: Any, acknowledgement: Any) -> None:
        for ref in list(self._alerts):
            self._step(turn, msgspec.convert(_parts(ref), type(acknowledgement.of)), acknowledgement.decision)

    patch.setattr(Alerts, "acknowledged", all_of_them)


def _parts(ref: str) -> dict[str, Any]:
    sender, epoch, seq = ref.split("/")
    return {"sender": sender, "epoch": int(epoch), "seq": int(seq)}


def performs_before_it_appends(patch: pytest.MonkeyPatch) -> None:
    prepare, flush, settle = JournalWriter.prepare, JournalWriter.flush, JournalWriter.settle
    held: dict[JournalWriter, Batch] = {}
    put_off: set[JournalWriter] = set()

    def late(self: JournalWriter, batch: Batch) -> None:
        if self in held:
            prepare(self, held[self])
            flush(self)
            settle(self)
        held[self] = list(batch)
        put_off.add(self)

    def flush_later(self: JournalWriter) -> None:
        if self not in put_off:
            flush(self)

    def settle_later(self: JournalWriter) -> None:
        if self not in put_off:
            settle(self)
        put_off.discard(self)

    patch.setattr(JournalWriter, "prepare", late)
    patch.setattr(JournalWriter, "flush", flush_later)
    patch.setattr(JournalWriter, "settle", settle_later)


def resends_other_bytes(patch: pytest.MonkeyPatch) -> None:
    original = Link.frame
    patch.setattr(Link, "frame", lambda self, first: (original(self, first) or b"") + b" ")


def gives_up_resending(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Outbox, "resend_all", lambda _self, _turn: [])
    patch.setattr(Outbox, "due_age", lambda _self: None)


def depends_on_the_process(patch: pytest.MonkeyPatch) -> None:
    original = Link.handle
    lives: list[object] = []

    def handle(self: Link, event: Any) -> Any:
        if self not in lives:
            lives.append(self)
        effects = original(self, event)
        return effects[: 1 - len(lives) % 2] if len(effects) == 1 and len(lives) > 6 else effects

    patch.setattr(Link, "handle", handle)


PLANTED = (
    settles_too_much,
    applies_out_of_order,
    forgets_what_was_applied,
    raises_alarms_again,
    never_judges_slots,
    judges_slots_in_local_time,
    takes_blindness_for_silence,
    takes_any_words_for_an_answer,
    acknowledges_every_alert_at_once,
    performs_before_it_appends,
    resends_other_bytes,
    gives_up_resending,
    depends_on_the_process,
)


ABSENCES = Plan(
    seed=1,
    days=DAYS,
    faults=(
        Fault(at=1 * DAY, kind="sleep", where="ndmc", lasts=10 * HOUR),
        Fault(at=2 * DAY, kind="power_cut", where="eucom", lasts=10 * HOUR),
        Fault(at=3 * DAY, kind="broker_down", lasts=10 * HOUR),
        Fault(at=4 * DAY, kind="crash", where="watch", lasts=10 * HOUR, point="torn"),
    ),
    acts=(),
)
"""Each over a slot, which random plans do only after many seeds."""


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_a_planted_bug_is_found(plant: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)

    plans = itertools.chain([ABSENCES], (draw(seed, DAYS) for seed in range(1, 60)))
    assert any(failure(plan) for plan in plans), plant.__name__


def test_absences_over_slots_break_no_promise() -> None:
    assert failure(ABSENCES) is None


def test_a_failure_prints_its_seed_and_shrinks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gives_up_resending(monkeypatch)

    assert main(["--seeds", "1-60", "--days", str(DAYS), "--processes", "1"]) == 1

    printed = capsys.readouterr()
    seed = int(printed.err.split()[1])
    story = printed.out.splitlines()
    assert story[0].startswith(f"seed {seed}, ")
    assert story[-1].startswith("<< Violation: ")
    faults = [each for each in story if each.startswith("  2")]
    assert 0 < len(faults) <= 3, "what is left needs each of them"


def test_the_command_line_ends_with_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seeds", "1-2", "--days", str(DAYS), "--processes", "2"]) == 0

    assert capsys.readouterr().out.startswith("2 seeds, 16 simulated days, ")


@pytest.mark.parametrize("arguments", [["--seeds", "5-1"], ["--seeds", "x"], ["--days", "2"], ["--processes", "0"]])
def test_wrong_arguments_are_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
