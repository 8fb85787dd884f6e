"""Bugs for the core: the watch, alarms, alerts and officers, the observer. See `bug`."""

from __future__ import annotations

from tests.planted.bug import Bug

_REFUSALS = "test_link_refusals"
_ALERTS = "test_link_alerts test_link_line_tests"
_WATCH = "test_link_line_tests test_link_time"

WATCH_BUGS: tuple[Bug, ...] = (
    # --- the watch -----------------------------------------------------------------------------------------------
    Bug(
        "instants are read in local time",
        "parsed",
        "(datetime.fromisoformat(text) - _EPOCH) // _MILLISECOND",
        "(datetime.fromisoformat(text[:-1]).astimezone() - _EPOCH) // _MILLISECOND",
        "test_time_zones",
    ),
    Bug(
        "a slot's grace ends a millisecond late",
        "Watch.judge_slots",
        "slot.due_at <= turn.at",
        "slot.due_at < turn.at",
        _WATCH,
    ),
    Bug(
        "slots that fell into an absence are called missed",
        "Absences.started",
        "if since:\n    self._was_blind(turn, since)",
        "pass",
        _WATCH,
    ),
    Bug(
        "a single unknown slot is not worth a record",
        "Absences._was_blind",
        "if unknown: ...",
        "if len(unknown) > 1: ...",
        _WATCH,
    ),
    Bug(
        "a slot that fell due in an absence is taken as met",
        "SLOT",
        '{(SlotState.AWAITED, "blind"): SlotState.UNKNOWN}',
        '{(SlotState.AWAITED, "blind"): SlotState.MET}',
        _WATCH,
    ),
    Bug(
        "a slot that is still in its grace after an absence is judged at once",
        "Watch.blind",
        "max(slot.due_at, turn.at + SETTLE_MS)",
        "turn.at",
        _WATCH,
    ),
    Bug(
        "a late test does not end the alarm",
        "SLOT",
        '{(SlotState.MISSED, "called"): SlotState.LATE}',
        "{}",
        _WATCH,
    ),
    Bug(
        "a test may come at any time before its slot",
        "Watch._judge_test",
        'slot.test_at < parsed(instant) - self._skew_ms or not self._step(slot, "called")',
        'not self._step(slot, "called")',
        _WATCH,
    ),
    Bug(
        "a slot's test may be placed when its grace is over",
        "Watch.open_slot",
        "at < begins + self._grace_ms",
        "at <= begins + self._grace_ms + SECOND",
        _WATCH,
    ),
    Bug(
        "the three words may be read back in any order",
        "Watch.answered",
        "answer.read_back != test.heartbeat.challenge",
        "set(answer.read_back) != set(test.heartbeat.challenge)",
        _WATCH,
    ),
    Bug(
        "a test of one side supersedes the other side's",
        "Watch._of_same_caller",
        "f\"{ref.partition('/')[0]}/\"",
        '""',
        _WATCH,
    ),
    Bug(
        "an unanswered test raises no alarm",
        "TEST",
        '{(TestState.RECEIVED, "overdue"): TestState.UNANSWERED}',
        "{}",
        _WATCH,
    ),
    Bug(
        "a clock that went back leaves its slots judged",
        "Absences._clock_moved",
        "self._watch.clock_moved(turn, step_ms)",
        "pass",
        _WATCH,
    ),
    Bug(
        "a slot stays met though its test came too early by the clock as it is set now",
        "SLOT",
        '{(SlotState.MET, "rewound"): SlotState.AWAITED}',
        "{}",
        _WATCH,
    ),
    Bug(
        "a test that only seemed too early is forgotten",
        "Watch.clock_moved",
        "slot.test_at += step_ms",
        "slot.test_at += min(step_ms, 0)",
        _WATCH,
    ),
    Bug(
        "a slot that lies ahead again is not placed again",
        "Watch.clock_moved",
        "slot.due_at, slot.begun = begins + self._grace_ms, False",
        "slot.due_at = begins + self._grace_ms",
        _WATCH,
    ),
    Bug(
        "what a wall clock skips over is not missed by anybody",
        "Absences.clock_stepped",
        "self._was_blind(turn, turn.at - event.step_ms, age_too=False)",
        "self._was_blind(turn, turn.at, age_too=False)",
        _WATCH,
    ),
    Bug(
        "deadlines run on the wall clock",
        "Deadlines._age",
        "event.mono - self.state.mono",
        "event.at - self.state.at",
        _WATCH,
    ),
    Bug(
        "a deadline waits while the machine restarts",
        "Deadlines._age",
        "event.at - self.state.at if isinstance(event, Started) else event.mono - self.state.mono",
        "event.mono - self.state.mono",
        _WATCH,
    ),
    # --- alarms and notifications --------------------------------------------------------------------------------
    Bug(
        "an alarm that an officer has seen is raised again",
        "AlarmBook.raise_alarm",
        "known is not None and known.active",
        "known is not None and known.active and known.acknowledged_at is UNSET",
        "test_link_alarms",
    ),
    Bug(
        "alarms are forgotten at a checkpoint",
        "Books.__init__",
        "AlarmBook(state.alarms, self.notifications)",
        "AlarmBook(dict(state.alarms), self.notifications)",
        _WATCH,
    ),
    Bug(
        "an alarm is gone when it is cleared, seen or not",
        "AlarmBook._keep",
        "alarm.finished",
        "alarm.finished or not alarm.active",
        _WATCH,
    ),
    Bug(
        "notifications are not repeated after a restart",
        "Absences.started",
        "self._books.notifications.repeat(turn)",
        "pass",
        _WATCH,
    ),
    # --- alerts and officers -------------------------------------------------------------------------------------
    Bug(
        "an acknowledgement is applied to the newest alert",
        "Alerts.acknowledged",
        "opened = self._step(turn, acknowledgement.of, acknowledgement.decision)",
        (
            "newest = Reference.parse(list(self._alerts)[-1]) if self._alerts else acknowledgement.of\n"
            "opened = self._step(turn, newest, acknowledgement.decision)"
        ),
        _ALERTS,
    ),
    Bug(
        "a promise to reply ends the matter",
        "Alerts.acknowledged",
        "opened.state is AlertState.WILL_REPLY",
        "opened.state is AlertState.SENT",
        _ALERTS,
    ),
    Bug(
        "an alarm stands on although the alert was acknowledged",
        "Alerts._step",
        "self._alarms.clear(turn, AlarmCode.ALERT_UNACKNOWLEDGED, str(reference))",
        "pass",
        _ALERTS,
    ),
    Bug(
        "the machine's receipt passes for an officer's acknowledgement",
        "Alerts._step",
        "state not in (AlertState.SENT, AlertState.RECEIVED)",
        "state is not AlertState.SENT",
        _ALERTS,
    ),
    Bug(
        "an officer releases their own draft",
        "OfficerRequests.release",
        "event.officer == draft.officer",
        "event.officer == draft.officer and not draft.text",
        _ALERTS,
    ),
    Bug(
        "one officer's name twice counts as four eyes",
        "_check_alert",
        "len(set(alert.released_by)) < FOUR_EYES",
        "len(alert.released_by) < FOUR_EYES",
        _REFUSALS,
    ),
    Bug(
        "a draft can be released again and again",
        "OfficerRequests.release",
        "del self._state.drafts[event.draft]",
        "pass",
        _ALERTS,
    ),
    Bug(
        "an exercise is announced on an actual link",
        "_check_alert",
        'alert.status not in {policy.status, "test"}',
        'alert.status not in {policy.status, "test", "exercise"}',
        f"{_REFUSALS} {_ALERTS}",
    ),
    Bug(
        "an alert is sent after it has expired",
        "OfficerRequests._alert",
        '_check_instant("expires_at", event.expires_at) <= turn.at',
        '_check_instant("expires_at", event.expires_at) <= turn.at - 1',
        _ALERTS,
    ),
    Bug(
        "a reference to what was never sent is taken",
        "References._check",
        "if of.epoch == self._epoch and of.seq > party.known_upto and not unsent_too:\n    raise _unknown(of, kind)",
        "pass",
        f"{_REFUSALS} {_ALERTS}",
    ),
    Bug(
        "a repeated request is a second alert",
        "Core._done",
        "requests[event.request] = reference",
        'requests[event.request + "/" + reference] = reference',
        _ALERTS,
    ),
    # --- the independent watch -----------------------------------------------------------------------------------
    Bug(
        "the watch overlooks a gap of one message",
        "ObservedStreams.take",
        "payload.messages[0].seq > stream.upto + 1",
        "payload.messages[0].seq > stream.upto + 2",
        "test_observer",
    ),
    Bug(
        "the watch overlooks a fork",
        "ObservedStreams.take_claim",
        "known != claim.head",
        "known != claim.head and claim.upto == 0",
        "test_observer",
    ),
)
