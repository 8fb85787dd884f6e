"""Simulates the duty officers of a side, who answer, acknowledge, refuse, release, and sometimes do nothing.

They outlive every process. They repeat a request that gets no answer, under the same id, until the service has taken or
refused it.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from functools import partial

import msgspec
from msgspec import UNSET, UnsetType

from endpoints.runtime.ports import Now
from protocol.core.effects import Notify
from protocol.core.events import (
    AlarmAcknowledged,
    LineTestRequested,
    OfficerAcknowledged,
    OfficerAnswered,
    OfficerCancelled,
    OfficerRaisedAlert,
    OfficerRefused,
    OfficerReleased,
    Request,
    SessionBegan,
    SessionEnded,
)
from protocol.errors import LocalProtocolError
from protocol.wire.instants import Millis, written
from protocol.wire.messages import (
    Area,
    Category,
    Decision,
    Digest,
    Heartbeat,
    Precedence,
    Reference,
    RefusalReason,
    Texts,
)
from scenario.simulation.agenda import Agenda
from scenario.simulation.faults import HOUR, MINUTE, SECOND, PlannedAct
from scenario.simulation.simulated_process import SimulatedProcess

ASK_AGAIN_MS: Millis = MINUTE
_PRECEDENCES: tuple[Precedence, ...] = ("flash", "immediate", "priority", "routine")
_CATEGORIES: tuple[Category, ...] = (
    "critical_infrastructure",
    "stray_munition",
    "airspace_transit",
    "unintended_clash",
)
_REASONS: tuple[RefusalReason, ...] = ("out_of_scope", "unintelligible", "expired")
_DECISIONS: tuple[Decision, ...] = ("understood", "understood", "acting", "will_reply")
_TEXT: Texts = {
    "en": "Concerned by operations in the immediate vicinity.",
    "ru": "Обеспокоены боевыми действиями рядом.",
}

Make = Callable[[Now], Request]
Done = Callable[[str], None]
Refused = Callable[[LocalProtocolError], None]


class Habits:
    """Draws how the officers of a side behave. A scenario or a test overrides it."""

    # the first one answers and places the line tests
    officers: tuple[str, str] = ("duty-1", "duty-2")

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

    def answers_after(self, slot: str) -> Millis | None:
        """Return how long after its reception the test of `slot` is answered, in ms; None for no answer."""
        del slot
        if not self._chance.getrandbits(6):
            return None
        return self._chance.randint(5 * SECOND, 3 * MINUTE)

    def places_after(self) -> Millis:
        """Return how long after its notification the test of a slot is placed, in ms, where officers place them."""
        return self._chance.randint(5 * SECOND, 5 * MINUTE)

    def misreads(self) -> bool:
        """Return whether the officer first types the words of a test wrongly."""
        return not self._chance.getrandbits(4)

    def replies_after(self) -> Millis | None:
        """Return how long after its reception an alert is acknowledged or refused, in ms; None for no reply."""
        if not self._chance.getrandbits(4):
            return None
        return int(10 ** self._chance.uniform(4, 7))

    def acknowledges_alarms_after(self) -> Millis | None:
        """Return how long after it was raised an alarm is acknowledged, in ms; None for never."""
        return int(10 ** self._chance.uniform(4, 7.5))


class Officers:
    """The officers of one side, at one of its links."""

    def __init__(
        self, process: SimulatedProcess, agenda: Agenda, chance: random.Random, habits: Habits, link: str = ""
    ) -> None:
        self.process = process
        self._link = link
        self.asked: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        # what this side has sent, by the references that the service returned
        self.alerts: list[Reference] = []
        self.drafts: list[int] = []
        self._agenda = agenda
        self._chance = chance
        self._habits = habits
        self._heard: set[str] = set()
        self._requests = 0
        self._open: dict[str, tuple[Make, Done, Refused]] = {}
        process.notify(self.notified, self._ask_all_again, link)

    # --- notifications ----------------------------------------------------------------------------------------------

    def notified(self, notice: Notify) -> None:
        """Take a notification, and act on it later. It may come twice."""
        if notice.id in self._heard:
            return
        self._heard.add(notice.id)
        if notice.alarm is not UNSET:
            delay = self._habits.acknowledges_alarms_after()
            if delay is not None:
                code, subject = notice.alarm.code, notice.alarm.subject
                self._agenda.after(delay, partial(self._acknowledge_alarm, code, subject))
        elif notice.kind == "slot":
            # a reminder comes when the test is not placed yet; the officer who was told first places it
            if not notice.repeat:
                self._agenda.after(self._habits.places_after(), self._place)
        elif notice.reference is not UNSET and notice.body is not UNSET:
            self._heard_message(notice.reference, notice.body)

    def _heard_message(self, reference: Reference, body: dict[str, object]) -> None:
        if body["type"] == "heartbeat":
            delay = self._habits.answers_after(str(body.get("slot", "")))
            words = msgspec.convert(body, Heartbeat).challenge
            if delay is not None:
                self._agenda.after(delay, partial(self._answer, reference, words))
        elif body["type"] == "alert":
            delay = self._habits.replies_after()
            if delay is not None:
                self._agenda.after(delay, partial(self._reply, reference))

    # --- actions ----------------------------------------------------------------------------------------------------

    def act(self, act: PlannedAct) -> None:
        """Carry out an act of the plan."""
        match act.kind:
            case "alert":
                self.raise_alert(_PRECEDENCES[act.amount])
            case "burst":
                for _ in range(act.amount):
                    self.raise_alert("routine")
            case "line_test":
                nonce = f"{self._chance.getrandbits(64):016x}"
                self.ask(
                    lambda now, request: LineTestRequested(
                        at=now.at, mono=now.mono, request=request, nonce=nonce, officer="duty-1"
                    )
                )
            case "change" if self.alerts:
                self.raise_alert("priority", changes=self._chance.choice(self.alerts))
            case "cancel" if self.alerts:
                of = self._chance.choice(self.alerts)
                self.ask(
                    lambda now, request: OfficerCancelled(
                        at=now.at, mono=now.mono, request=request, officer="duty-1", of=of
                    )
                )
            case "discard" if self.drafts:
                draft = self._chance.choice(self.drafts)
                self.ask(
                    lambda now, request: OfficerCancelled(
                        at=now.at, mono=now.mono, request=request, officer="duty-1", draft=draft
                    )
                )
            case "session":
                self._read_at_a_console(act.amount)
            case _:
                self.raise_alert("routine")

    def _read_at_a_console(self, lasts: Millis) -> None:
        """Begin a session of a console, which ends after a while."""
        officer, session = self._habits.officers[0], f"session-{self._requests}"
        self.ask(
            lambda now, request: SessionBegan(
                at=now.at, mono=now.mono, request=request, session=session, role="officer", officer=officer
            ),
            lambda _reference: self._agenda.after(lasts, partial(self._leave_the_console, session, officer)),
        )

    def _leave_the_console(self, session: str, officer: str) -> None:
        self.ask(
            lambda now, request: SessionEnded(
                at=now.at,
                mono=now.mono,
                request=request,
                session=session,
                role="officer",
                officer=officer,
                why="log-out",
            )
        )

    def raise_alert(self, precedence: Precedence, changes: Reference | None = None) -> None:
        """Raise an alert; another officer releases it where the policy requires two."""
        category = self._chance.choice(_CATEGORIES)
        expires = self._chance.choice((HOUR, 6 * HOUR))
        area = Area(name="Sector", latitude_udeg=47_507_700, longitude_udeg=34_585_300, radius_m=20_000)
        self.ask(
            lambda now, request: OfficerRaisedAlert(
                at=now.at,
                mono=now.mono,
                request=request,
                officer="duty-1",
                status="exercise",
                category=category,
                precedence=precedence,
                event_at=written(now.at),
                expires_at=written(now.at + expires),
                text=_TEXT,
                area=area,
                changes=changes or UNSET,
                change_kind="update" if changes else UNSET,
            ),
            self._raised,
        )

    def _raised(self, reference: str) -> None:
        if reference.startswith("draft/"):
            draft = int(reference.removeprefix("draft/"))
            self.drafts.append(draft)
            # sometimes the author tries to release the draft, which the service refuses
            officers = ("duty-1", "duty-2") if not self._chance.getrandbits(3) else ("duty-2",)
            for place, officer in enumerate(officers):
                delay = self._chance.randint(5 * SECOND, 2 * MINUTE) + place * MINUTE
                self._agenda.after(delay, partial(self._release, draft, officer))
        else:
            self.alerts.append(Reference.parse(reference))

    def _release(self, draft: int, officer: str) -> None:
        self.ask(
            lambda now, request: OfficerReleased(
                at=now.at, mono=now.mono, request=request, officer=officer, draft=draft
            ),
            self._raised,
        )

    def _place(self) -> None:
        nonce, officer = f"{self._chance.getrandbits(64):016x}", self._habits.officers[0]
        self.ask(
            lambda now, request: LineTestRequested(
                at=now.at, mono=now.mono, request=request, nonce=nonce, officer=officer
            )
        )

    def _answer(self, reference: Reference, words: tuple[str, str, str]) -> None:
        officer = self._habits.officers[0]
        if self._habits.misreads():
            wrong = (words[1], words[0], words[2])
            self.ask(
                lambda now, request: OfficerAnswered(
                    at=now.at, mono=now.mono, request=request, officer=officer, of=reference, read_back=wrong
                )
            )
        self.ask(
            lambda now, request: OfficerAnswered(
                at=now.at, mono=now.mono, request=request, officer=officer, of=reference, read_back=words
            )
        )

    def _reply(self, reference: Reference) -> None:
        if not self._chance.getrandbits(2):
            reason = self._chance.choice(_REASONS)
            self.ask(
                lambda now, request: OfficerRefused(
                    at=now.at, mono=now.mono, request=request, officer="duty-2", of=reference, reason=reason
                )
            )
            return
        decision = self._chance.choice(_DECISIONS)
        self.acknowledge(reference, decision, "duty-1")
        if decision == "will_reply":
            self._agenda.after(
                self._chance.randint(MINUTE, 4 * HOUR),
                partial(self.acknowledge, reference, "acting", "duty-2", read_first=True),
            )

    def acknowledge(self, reference: Reference, decision: Decision, officer: str, *, read_first: bool = False) -> None:
        """Acknowledge an alert of the other side; with `read_first`, as it is then, with what others did."""
        self.ask(
            lambda now, request: OfficerAcknowledged(
                at=now.at,
                mono=now.mono,
                request=request,
                officer=officer,
                of=reference,
                decision=decision,
                seen=self._seen(reference) if read_first else UNSET,
            )
        )

    def _seen(self, reference: Reference) -> Digest | UnsetType:
        """Return the digest of an alert as the service shows it now."""
        runner = self.process.runner
        item = None if runner is None else runner.core.snapshot().item(str(reference))
        return UNSET if item is None else item.seen

    def _acknowledge_alarm(self, code: str, subject: str) -> None:
        self.ask(
            lambda now, request: AlarmAcknowledged(
                at=now.at, mono=now.mono, request=request, officer="duty-1", code=code, subject=subject
            )
        )

    # --- requests ---------------------------------------------------------------------------------------------------

    def ask(
        self,
        make: Callable[[Now, str], Request],
        done: Done = lambda _reference: None,
        refused: Refused = lambda _error: None,
    ) -> None:
        """Make a request, and repeat it under the same id until the service answers.

        Args:
            make: returns the request at an instant, under an id.
            done: takes the reference that the service answers with.
            refused: takes its refusal.
        """
        self._requests += 1
        request = f"{self.process.name}-{self._requests:08d}"
        self._open[request] = (lambda now: make(now, request), done, refused)
        self._ask(request)

    def _ask(self, request: str) -> None:
        known = self._open.get(request)
        if known is None:
            return
        self.asked["asked"] += 1
        # a service that is down takes nothing; the request is repeated when it is up again
        self.process.ask(known[0], _Reply(partial(self._answered, request)), self._link)

    def _ask_all_again(self) -> None:
        """Repeat every request that the service has not answered: it is up again."""
        for request in self._open:
            self._agenda.after(self._chance.randint(1 * SECOND, ASK_AGAIN_MS), partial(self._ask, request))

    def _answered(self, request: str, reference: str, error: LocalProtocolError | None) -> None:
        known = self._open.pop(request, None)
        if known is None:
            return
        if error is not None:
            self.refused[error.code] += 1
            known[2](error)
            return
        known[1](reference)


class _Reply:
    """Hands the service's answer to the officer, who waits for it indefinitely."""

    def __init__(self, answered: Callable[[str, LocalProtocolError | None], None]) -> None:
        self._answered = answered

    def done(self) -> bool:
        """Return False: the officer still waits."""
        return False

    def set_result(self, reference: str, /) -> None:
        """Answer with the reference."""
        self._answered(reference, None)

    def set_exception(self, error: LocalProtocolError, /) -> None:
        """Answer with an error, unless the link has stopped: the officer then asks again when it is back."""
        if error.code != "link_stopped":
            self._answered("", error)
