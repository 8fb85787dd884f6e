"""Bugs for the journal and the service: what is on disk when, what leaves when, what the clocks say. See `bug`."""

from __future__ import annotations

from tests.planted.bug import Bug

_JOURNAL = "tests/protocol/test_journal.py tests/protocol/test_verification.py"
_RECOVERY = "tests/protocol/test_journal_recovery.py tests/endpoints/test_journal_file.py"
_ROOM = "tests/endpoints/test_link_room.py tests/endpoints/test_turn.py"
_CLOCK = "tests/endpoints/test_clock.py tests/endpoints/test_turn.py tests/test_time_worlds.py"

SERVICE_BUGS: tuple[Bug, ...] = (
    # --- the journal ---------------------------------------------------------------------------------------------
    Bug(
        "a record's hash is not checked",
        "protocol/journal.py",
        "    if digest != claimed:\n",
        "    if len(digest) != len(claimed):\n",
        _JOURNAL,
    ),
    Bug(
        "a record's prev is not checked",
        "protocol/journal.py",
        "        if record.prev != self.hash:\n",
        "        if len(record.prev) != len(self.hash):\n",
        _JOURNAL,
    ),
    Bug(
        "a journal may begin in its midst",
        "protocol/journal.py",
        "if record.n > 1 and not isinstance(record.entry, Checkpoint):",
        "if record.n < 1 and not isinstance(record.entry, Checkpoint):",
        _JOURNAL,
    ),
    Bug(
        "a record may be missing",
        "protocol/journal.py",
        "        if record.n > self.n + 1:\n",
        "        if record.n > self.n + 2:\n",
        _JOURNAL,
    ),
    Bug(
        "a torn tail is kept",
        "protocol/journal_recovery.py",
        "        if chain.batch is None:\n            records += pending\n            pending.clear()\n"
        "            last_batch, keep = keep, position\n",
        "        records += pending\n        pending.clear()\n        last_batch, keep = keep, position\n",
        _RECOVERY,
    ),
    Bug(
        "damage in the last batch is cut off like a torn tail",
        "protocol/journal_recovery.py",
        "        record = chain.take(line)\n",
        "        try:\n            record = chain.take(line)\n        except JournalError:\n            break\n",
        _RECOVERY,
    ),
    Bug(
        "the last batch is believed to be on disk after a restart",
        "endpoints/journal_file.py",
        "        os.fdatasync(self._file)\n        _flush_folder(self.folder)\n        self.recovered",
        "        self.recovered",
        _RECOVERY,
    ),
    Bug(
        "a batch is not flushed",
        "endpoints/journal_file.py",
        "            os.fdatasync(self._file)\n",
        "",
        _RECOVERY,
    ),
    Bug(
        "after a failed flush the journal is written again",
        "endpoints/journal_file.py",
        "        if self._failed:\n            raise JournalFailure(self._failed)\n",
        "",
        _RECOVERY,
    ),
    Bug(
        "a new segment gets its name before it is on disk",
        "endpoints/journal_file.py",
        '            os.fsync(file)\n            failpoint("before_named")\n            new.rename(path)\n',
        '            failpoint("before_named")\n            new.rename(path)\n            os.fsync(file)\n',
        _RECOVERY,
    ),
    Bug(
        "a signed head vouches for any record",
        "protocol/audit.py",
        "return ring.open(side, HEAD_TYPE, head) == claim",
        "return bool(ring.open(side, HEAD_TYPE, head))",
        "tests/protocol/test_replay.py",
    ),
    Bug(
        "an audit believes the verdicts that a journal holds",
        "protocol/audit.py",
        'return "" if verdict == event.verdict else',
        'return "" if verdict else',
        "tests/protocol/test_replay.py",
    ),
    Bug(
        "replay does not compare what was signed",
        "protocol/replay.py",
        "        if payload != unsealed.payload:\n",
        "        if len(payload) != len(unsealed.payload):\n",
        "tests/protocol/test_replay.py",
    ),
    Bug(
        "reconcile compares numbers, not contents",
        "protocol/reconcile.py",
        "        elif sent.digest != received.digest:\n",
        "        elif bool(sent.digest) != bool(received.digest):\n",
        "tests/protocol/test_reconcile.py",
    ),
    # --- a turn of the loop --------------------------------------------------------------------------------------
    Bug(
        "frames leave before their batch is on disk",
        "endpoints/room.py",
        '        failpoint("before_append")\n        try:\n',
        '        failpoint("before_append")\n        self._closed = list(self._batch)\n        self.perform(now)\n'
        "        try:\n",
        _ROOM,
    ),
    Bug(
        "a batch that could not be written is performed",
        "endpoints/room.py",
        '            self.fail(now, error)\n            return\n        failpoint("after_append")\n'
        "        self._batch, self._closed = [], self._batch\n",
        "            self._closed = list(self._batch)\n            self.fail(now, error)\n            return\n"
        '        failpoint("after_append")\n        self._batch, self._closed = [], self._batch\n',
        _ROOM,
    ),
    Bug(
        "the broker is told before the record is on disk",
        "endpoints/items.py",
        "            self._room.receive(self._topic, self._frame, now)\n",
        "            self._acknowledge()\n            self._acknowledge = lambda: None\n"
        "            self._room.receive(self._topic, self._frame, now)\n",
        _ROOM,
    ),
    Bug(
        "a link that has stopped acknowledges to the broker",
        "endpoints/items.py",
        '        if self._room.failure is None:\n            failpoint("before_puback")\n'
        "            self._acknowledge()\n"
        '            failpoint("after_puback")\n',
        "        self._acknowledge()\n",
        _ROOM,
    ),
    Bug(
        "an officer is answered before his request is on disk",
        "endpoints/items.py",
        "        except LocalProtocolError as error:\n            self._error = error\n"
        '        failpoint("after_request")\n',
        "        except LocalProtocolError as error:\n            self._error = error\n        self.settle()\n",
        _ROOM,
    ),
    Bug(
        "a resend has new bytes",
        "endpoints/link_room.py",
        "            frame = self.core.frame(effect.first)\n",
        "            frame = (self.core.frame(effect.first) or b\"\").replace(b'\":', b'\": ') or None\n",
        _ROOM,
    ),
    Bug(
        "frames are not judged by their sender's keys",
        "endpoints/room.py",
        "verdict = self.keyring.judge(topic.channel, topic.sender, frame)",
        "verdict = next((said for party in self._file.keys"
        " if (said := self.keyring.judge(topic.channel, party, frame)) == VERIFIED), "
        "self.keyring.judge(topic.channel, topic.sender, frame))",
        "tests/endpoints/test_turn.py",
    ),
    Bug(
        "a flood of bad frames fills the journal",
        "endpoints/caps.py",
        "if self._seen[reason] <= REFUSALS_PER_WINDOW:",
        "if self._seen[reason] >= 1:",
        _ROOM,
    ),
    Bug(
        "frames that were suppressed are not counted",
        "endpoints/caps.py",
        "        self._suppressed[reason] += 1\n",
        "        self._suppressed[reason] = 1\n",
        _ROOM,
    ),
    Bug(
        "an older epoch in the link file is taken",
        "endpoints/room.py",
        "        elif terms.epoch < known.epoch:\n",
        "        elif terms.epoch < 1:\n",
        _ROOM,
    ),
    Bug(
        "a changed policy needs no new epoch",
        "endpoints/room.py",
        "        elif policy_digest(terms) != policy_digest(known):\n",
        "        elif terms.caller != known.caller:\n",
        _ROOM,
    ),
    Bug(
        "room on the disk flickers",
        "endpoints/journal_file.py",
        "if self._low and free_bytes >= self._ok_bytes:",
        "if self._low and free_bytes >= self._low_bytes:",
        _RECOVERY,
    ),
    # --- time ----------------------------------------------------------------------------------------------------
    Bug(
        "slots are compared in local time",
        "endpoints/slots.py",
        "at = (slot.astimezone(UTC) - _EPOCH) // _MILLISECOND",
        "at = (slot.replace(tzinfo=UTC) - _EPOCH) // _MILLISECOND",
        "tests/endpoints/test_slots.py",
    ),
    Bug(
        "the slot at which a plan ends is planned again",
        "endpoints/slots.py",
        "if after_ms < at <= until_ms)",
        "if after_ms <= at <= until_ms)",
        "tests/endpoints/test_slots.py",
    ),
    Bug(
        "slots are planned from now on, not from where the journal ends",
        "endpoints/room.py",
        "since = min(self.core.last_at or now.at, now.at)",
        "since = now.at",
        _CLOCK,
    ),
    Bug(
        "no slots are planned after the first fortnight",
        "endpoints/room.py",
        "if self.core.slots_until - at < PLAN_AGAIN_MS:",
        "if self.core.slots_until - at < -PLANNED_MS:",
        _CLOCK,
    ),
    Bug(
        "small steps of the wall clock never add up",
        "endpoints/clock.py",
        "        self._offset += step_ms\n",
        "        self._offset = at - mono\n",
        _CLOCK,
    ),
    Bug(
        "a wall clock that goes back is not noticed",
        "endpoints/clock.py",
        "if abs(step_ms) <= STEP_TOLERANCE_MS:",
        "if step_ms <= STEP_TOLERANCE_MS:",
        _CLOCK,
    ),
    Bug(
        "a sleep begins when it ends",
        "endpoints/clock.py",
        "        since = self._at\n",
        "        since = at\n",
        _CLOCK,
    ),
    Bug(
        "the monotonic clock stops while the machine sleeps",
        "endpoints/clock.py",
        "time.clock_gettime_ns(time.CLOCK_BOOTTIME)",
        "time.thread_time_ns()",
        _CLOCK,
    ),
    Bug(
        "a sleep hides a step",
        "endpoints/loop.py",
        "            if step_ms:\n",
        "            elif step_ms:\n",
        _CLOCK,
    ),
    Bug(
        "what is due is taken before the sleep is known",
        "endpoints/loop.py",
        "        self._look_at_the_clocks(now)\n        items = self.inbox.drain(BATCH_MAX_ITEMS)\n",
        "        items = self.inbox.drain(BATCH_MAX_ITEMS)\n        for room in self._running():\n"
        "            room.tick(now)\n        self._look_at_the_clocks(now)\n",
        _CLOCK,
    ),
    Bug(
        "slots that a leap of the clock passes over were never planned",
        "endpoints/loop.py",
        "            room.plan_over(before, mono, now.at)\n",
        "",
        _CLOCK,
    ),
)
