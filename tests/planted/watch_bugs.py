"""Bugs for the core: the watch, alarms, alerts and officers, the observer. See `bug`."""

from __future__ import annotations

from tests.planted.bug import Bug

_REFUSALS = "tests/protocol/test_link_refusals.py tests/protocol/test_pair_bodies.py"
_ALERTS = "tests/protocol/test_link_alerts.py tests/protocol/test_pair_bodies.py tests/protocol/test_link_line_tests.py"
_WATCH = "tests/protocol/test_link_line_tests.py tests/protocol/test_link_time.py tests/protocol/test_pair_watch.py"

WATCH_BUGS: tuple[Bug, ...] = (
    # --- the watch -----------------------------------------------------------------------------------------------
    Bug(
        "instants are read in local time",
        "protocol/instants.py",
        "return (datetime.fromisoformat(text) - _EPOCH) // _MILLISECOND",
        "return (datetime.fromisoformat(text[:-1]).astimezone() - _EPOCH) // _MILLISECOND",
        "tests/test_time_zones.py",
    ),
    Bug(
        "a slot's grace ends a millisecond late",
        "protocol/watch.py",
        "            if slot.due_at <= turn.at:\n                missed = ",
        "            if slot.due_at < turn.at:\n                missed = ",
        _WATCH,
    ),
    Bug(
        "slots that fell into an absence are called missed",
        "protocol/core.py",
        "        if since:\n            self._was_blind(turn, since)\n",
        "",
        _WATCH,
    ),
    Bug(
        "a single unknown slot is not worth a record",
        "protocol/core.py",
        "        if unknown:\n",
        "        if len(unknown) > 1:\n",
        _WATCH,
    ),
    Bug(
        "a slot that fell due in an absence is taken as met",
        "protocol/watch.py",
        '    (SlotState.AWAITED, "blind"): SlotState.UNKNOWN,\n',
        '    (SlotState.AWAITED, "blind"): SlotState.MET,\n',
        _WATCH,
    ),
    Bug(
        "a slot that is still in its grace after an absence is judged at once",
        "protocol/watch.py",
        "slot.due_at = max(slot.due_at, turn.at + SETTLE_MS)",
        "slot.due_at = turn.at",
        _WATCH,
    ),
    Bug(
        "a late test does not end the alarm",
        "protocol/watch.py",
        '    (SlotState.MISSED, "called"): SlotState.LATE,\n',
        "",
        _WATCH,
    ),
    Bug(
        "a test may come at any time before its slot",
        "protocol/watch.py",
        'if slot.test_at < parsed(instant) - self._skew_ms or not self._step(slot, "called"):',
        'if not self._step(slot, "called"):',
        _WATCH,
    ),
    Bug(
        "a slot's test may be placed when its grace is over",
        "protocol/watch.py",
        "            if at < begins + self._grace_ms:\n",
        "            if at <= begins + self._grace_ms + SECOND:\n",
        _WATCH,
    ),
    Bug(
        "the three words may be read back in any order",
        "protocol/watch.py",
        "answer.read_back != test.heartbeat.challenge",
        "set(answer.read_back) != set(test.heartbeat.challenge)",
        _WATCH,
    ),
    Bug(
        "a test of one side supersedes the other side's",
        "protocol/watch.py",
        "caller = f\"{ref.partition('/')[0]}/\"",
        'caller = ""',
        _WATCH,
    ),
    Bug(
        "an unanswered test raises no alarm",
        "protocol/watch.py",
        '    (TestState.RECEIVED, "overdue"): TestState.UNANSWERED,\n',
        "",
        _WATCH,
    ),
    Bug(
        "a clock that went back leaves its slots judged",
        "protocol/core.py",
        "        self._watch.clock_moved(turn, step_ms)\n",
        "",
        _WATCH,
    ),
    Bug(
        "a slot stays met though its test came too early by the clock as it is set now",
        "protocol/watch.py",
        '    (SlotState.MET, "rewound"): SlotState.AWAITED,\n',
        "",
        _WATCH,
    ),
    Bug(
        "a test that only seemed too early is forgotten",
        "protocol/watch.py",
        "            slot.test_at += step_ms\n",
        "            slot.test_at += min(step_ms, 0)\n",
        _WATCH,
    ),
    Bug(
        "a slot that lies ahead again is not placed again",
        "protocol/watch.py",
        "slot.due_at, slot.begun = begins + self._grace_ms, False",
        "slot.due_at = begins + self._grace_ms",
        _WATCH,
    ),
    Bug(
        "what a wall clock skips over is not missed by anybody",
        "protocol/core.py",
        "            self._was_blind(turn, turn.at - event.step_ms, age_too=False)\n",
        "            self._was_blind(turn, turn.at, age_too=False)\n",
        _WATCH,
    ),
    Bug(
        "deadlines run on the wall clock",
        "protocol/timeline.py",
        "if isinstance(event, Started) else event.mono - self.state.mono",
        "if isinstance(event, Started) else event.at - self.state.at",
        _WATCH,
    ),
    Bug(
        "a deadline waits while the machine restarts",
        "protocol/timeline.py",
        "passed = event.at - self.state.at if isinstance(event, Started) else event.mono - self.state.mono",
        "passed = event.mono - self.state.mono",
        _WATCH,
    ),
    # --- alarms and notifications --------------------------------------------------------------------------------
    Bug(
        "an alarm that an officer has seen is raised again",
        "protocol/alarm_book.py",
        "if known is not None and known.active:",
        "if known is not None and known.active and known.acknowledged_at is UNSET:",
        "tests/protocol/test_link_alarms.py",
    ),
    Bug(
        "alarms are forgotten at a checkpoint",
        "protocol/core.py",
        "self._alarms = AlarmBook(state.alarms, self._notices)",
        "self._alarms = AlarmBook(dict(state.alarms), self._notices)",
        _WATCH,
    ),
    Bug(
        "an alarm is gone when it is cleared, seen or not",
        "protocol/alarm_book.py",
        "        if alarm.finished:\n",
        "        if alarm.finished or not alarm.active:\n",
        _WATCH,
    ),
    Bug(
        "notifications are not repeated after a restart",
        "protocol/core.py",
        "        self._notices.repeat(turn)\n",
        "",
        _WATCH,
    ),
    # --- alerts and officers -------------------------------------------------------------------------------------
    Bug(
        "an acknowledgement is applied to the newest alert",
        "protocol/alerts.py",
        "opened = self._step(turn, acknowledgement.of, acknowledgement.decision)",
        "newest = Reference.parse(list(self._alerts)[-1]) if self._alerts else acknowledgement.of\n"
        "        opened = self._step(turn, newest, acknowledgement.decision)",
        _ALERTS,
    ),
    Bug(
        "a promise to reply ends the matter",
        "protocol/alerts.py",
        "            if opened.state is AlertState.WILL_REPLY:\n                self._arm(",
        "            if opened.state is AlertState.SENT:\n                self._arm(",
        _ALERTS,
    ),
    Bug(
        "an alarm stands on although the alert was acknowledged",
        "protocol/alerts.py",
        "            self._alarms.clear(turn, AlarmCode.ALERT_UNACKNOWLEDGED, str(reference))\n",
        "",
        _ALERTS,
    ),
    Bug(
        "the machine's receipt passes for an officer's acknowledgement",
        "protocol/alerts.py",
        "if state not in (AlertState.SENT, AlertState.RECEIVED):",
        "if state is not AlertState.SENT:",
        _ALERTS,
    ),
    Bug(
        "an officer releases his own draft",
        "protocol/desk.py",
        "if event.officer == draft.officer:",
        "if event.officer == draft.officer and not draft.text:",
        _ALERTS,
    ),
    Bug(
        "one officer's name twice counts as four eyes",
        "protocol/rules.py",
        "len(set(alert.released_by)) < FOUR_EYES",
        "len(alert.released_by) < FOUR_EYES",
        _ALERTS,
    ),
    Bug(
        "a draft can be released again and again",
        "protocol/desk.py",
        "self._alert(turn, draft, (draft.officer, event.officer)))\n        del self._state.drafts[event.draft]\n",
        "self._alert(turn, draft, (draft.officer, event.officer)))\n",
        _ALERTS,
    ),
    Bug(
        "an exercise is announced on an actual link",
        "protocol/rules.py",
        'if alert.status not in {policy.status, "test"}:',
        'if alert.status not in {policy.status, "test", "exercise"}:',
        f"{_REFUSALS} {_ALERTS}",
    ),
    Bug(
        "an alert is sent after it has expired",
        "protocol/desk.py",
        '_check_instant("expires_at", event.expires_at) <= turn.at',
        '_check_instant("expires_at", event.expires_at) <= turn.at - 1',
        _ALERTS,
    ),
    Bug(
        "a reference to what was never sent is taken",
        "protocol/references.py",
        "        if of.epoch == self._epoch and of.seq > party.known_upto and not unsent_too:\n"
        "            raise _unknown(of, kind)\n",
        "",
        f"{_REFUSALS} {_ALERTS}",
    ),
    Bug(
        "a repeated request is a second alert",
        "protocol/core.py",
        "        requests[event.request] = reference\n",
        '        requests[event.request + "/" + reference] = reference\n',
        _ALERTS,
    ),
    # --- the independent watch -----------------------------------------------------------------------------------
    Bug(
        "the watch overlooks a gap of one message",
        "protocol/observer.py",
        "if payload.messages[0].seq > stream.upto + 1:",
        "if payload.messages[0].seq > stream.upto + 2:",
        "tests/protocol/test_observer.py tests/protocol/test_pair_watch.py",
    ),
    Bug(
        "the watch overlooks a fork",
        "protocol/observer.py",
        "if known != claim.head:",
        "if known != claim.head and claim.upto == 0:",
        "tests/protocol/test_observer.py tests/protocol/test_pair_watch.py",
    ),
)
