"""Bugs for the journal and the service: what is on disk when, what leaves when, what the clocks say. See `bug`."""

from __future__ import annotations

from tests.planted.bug import Bug

_JOURNAL = "test_journal test_verification"
_RECOVERY = "test_journal_recovery test_journal_writer"
_RUNNER = "test_endpoint_link test_turn"
_CLOCK = "test_clock test_turn test_time_worlds"
_RELOAD = "test_reload"
_CONFIRMED = "test_confirmations"

SERVICE_BUGS: tuple[Bug, ...] = (
    # --- the journal ---------------------------------------------------------------------------------------------
    Bug(
        "a record's hash is not checked",
        "_digest",
        "digest != claimed",
        "len(digest) != len(claimed)",
        _JOURNAL,
    ),
    Bug(
        "a record's prev is not checked",
        "Chain._misplaced",
        "record.prev != self.hash",
        "len(record.prev) != len(self.hash)",
        _JOURNAL,
    ),
    Bug(
        "a journal may begin in its midst",
        "Chain._misplaced",
        "record.n > 1 and not isinstance(record.entry, Checkpoint)",
        "record.n < 1 and not isinstance(record.entry, Checkpoint)",
        _JOURNAL,
    ),
    Bug(
        "a record may be missing",
        "Chain._misplaced",
        "record.n > self.n + 1",
        "record.n > self.n + 2",
        _JOURNAL,
    ),
    Bug(
        "a torn tail is kept",
        "recover",
        "if chain.batch is None:\n    records += pending\n    pending.clear()\n    last_batch, keep = keep, position",
        "records += pending\npending.clear()\nlast_batch, keep = keep, position",
        _RECOVERY,
    ),
    Bug(
        "damage in the last batch is cut off like a torn tail",
        "recover",
        "record = chain.take(line)",
        "try:\n    record = chain.take(line)\nexcept JournalError:\n    break",
        _RECOVERY,
    ),
    Bug(
        "the last batch is believed to be on disk after a restart",
        "FolderStore.resume",
        "os.fdatasync(self._file)\nflush_folder(self._folder)",
        "pass",
        _RECOVERY,
    ),
    Bug(
        "a batch is not flushed",
        "FolderStore.append",
        "os.fdatasync(self._file)",
        "pass",
        _RECOVERY,
    ),
    Bug(
        "after a failed flush the journal is written again",
        "JournalWriter._encode",
        "if self._ended:\n    raise JournalFailure(self._ended)",
        "pass",
        _RECOVERY,
    ),
    Bug(
        "a new segment gets its name before it is on disk",
        "FolderStore.start_segment",
        'os.fsync(file)\nfailpoint("before_named")\nnew.rename(path)',
        'failpoint("before_named")\nnew.rename(path)\nos.fsync(file)',
        _RECOVERY,
    ),
    Bug(
        "a signed head vouches for any record",
        "_vouches",
        "ring.open(record.side, HEAD_TYPE, head) == claim",
        "bool(ring.open(record.side, HEAD_TYPE, head))",
        "test_replay",
    ),
    Bug(
        "an audit believes the verdicts that a journal holds",
        "Audit._verdict",
        "verdict == event.verdict",
        "verdict",
        "test_replay",
    ),
    Bug(
        "replay does not compare what was signed",
        "_payloads_differ",
        "payload != unsealed.payload",
        "len(payload) != len(unsealed.payload)",
        "test_replay",
    ),
    Bug(
        "reconcile compares numbers, not contents",
        "_differing",
        "len(together[reference]) > 1",
        "not together[reference]",
        "test_reconcile",
    ),
    # --- a turn of the loop --------------------------------------------------------------------------------------
    Bug(
        "frames leave before their batch is on disk",
        "LinkRunner.close_batch",
        'failpoint("before_append")',
        'failpoint("before_append")\nself._closed = list(self._batch)\nself.perform(now)',
        _RUNNER,
    ),
    Bug(
        "a batch that could not be written is performed",
        "LinkRunner.settle",
        "self.fail(now, error)",
        "self._closed = list(self._batch)\nself.fail(now, error)",
        _RUNNER,
    ),
    Bug(
        "the broker is told before the record is on disk",
        "FrameItem.take",
        "self._runner.receive(self._topic, self._frame, now)",
        "self._acknowledge()\nself._acknowledge = lambda: None\nself._runner.receive(self._topic, self._frame, now)",
        _RUNNER,
    ),
    Bug(
        "a link that has stopped acknowledges to the broker",
        "FrameItem.settle",
        (
            "if self._runner.failure is None:\n"
            '    failpoint("before_puback")\n'
            "    self._acknowledge()\n"
            '    failpoint("after_puback")'
        ),
        "self._acknowledge()",
        _RUNNER,
    ),
    Bug(
        "an officer is answered before their request is on disk",
        "RequestItem.take",
        'failpoint("after_request")',
        "self.settle()",
        _RUNNER,
    ),
    Bug(
        "a resend has new bytes",
        "FrameSender.perform",
        "self._core.frame(effect.first)",
        "(self._core.frame(effect.first) or b\"\").replace(b'\":', b'\": ') or None",
        _RUNNER,
    ),
    Bug(
        "frames are not judged by their sender's keys",
        "LinkRunner._verdict",
        "self._judge.judge(topic.channel, topic.sender, frame)",
        (
            "next(\n"
            "    (\n"
            "        said\n"
            "        for party in self._file.keys\n"
            "        if (said := self._judge.judge(topic.channel, party, frame)) == VERIFIED\n"
            "    ),\n"
            "    self._judge.judge(topic.channel, topic.sender, frame),\n"
            ")"
        ),
        "test_turn",
    ),
    Bug(
        "a flood of bad frames fills the journal",
        "RefusalCap.admits",
        "self._seen[reason] <= REFUSALS_PER_WINDOW",
        "self._seen[reason] >= 1",
        _RUNNER,
    ),
    Bug(
        "frames that were suppressed are not counted",
        "RefusalCap.count",
        "self._suppressed[reason] += 1",
        "self._suppressed[reason] = 1",
        _RUNNER,
    ),
    Bug(
        "large bad frames fill the journal",
        "FrameLimits._idle_admits",
        "idle.take(size, now_s)",
        "idle.take(0, now_s)",
        _RUNNER,
    ),
    Bug(
        "junk around a known payload counts as an honest repeat",
        "FrameLimits.admits",
        "known is not None and known != sha256(event.frame).digest()",
        "known is not None and len(known) != len(sha256(event.frame).digest())",
        _RUNNER,
    ),
    Bug(
        "frames with effect are not bounded",
        "Allowance.take",
        "size > self._left",
        "size > self._burst",
        _RUNNER,
    ),
    Bug(
        "a repeat that is only counted is not receipted",
        "Link._take",
        "self.state.receipt_owed or event.reason in _SENT_AGAIN",
        "self.state.receipt_owed",
        "test_floods",
    ),
    Bug(
        "an older epoch in the link file is taken",
        "check_terms",
        "terms.epoch < known.epoch",
        "terms.epoch < 1",
        _RUNNER,
    ),
    Bug(
        "a changed policy needs no new epoch",
        "check_terms",
        "policy_digest(terms) != policy_digest(known)",
        "terms.caller != known.caller",
        _RUNNER,
    ),
    Bug(
        "room on the disk flickers",
        "SpaceWatch.judge",
        "self._low and free_bytes >= self._ok_bytes",
        "self._low and free_bytes >= self._low_bytes",
        "test_space_watch",
    ),
    # --- time ----------------------------------------------------------------------------------------------------
    Bug(
        "slots are compared in local time",
        "_of_week",
        "(slot.astimezone(UTC) - _EPOCH) // _MILLISECOND",
        "(slot.replace(tzinfo=UTC) - _EPOCH) // _MILLISECOND",
        "test_slots",
    ),
    Bug(
        "the slot at which a plan ends is planned again",
        "plan",
        "after_ms < at <= until_ms",
        "after_ms <= at <= until_ms",
        "test_slots",
    ),
    Bug(
        "slots are planned from now on, not from where the journal ends",
        "LinkRunner.start",
        "min(self.core.last_at or now.at, now.at)",
        "now.at",
        _CLOCK,
    ),
    Bug(
        "no slots are planned after the first fortnight",
        "SlotPlanner.due_at",
        "slots_until - self._ahead_ms // 2 + 1",
        "slots_until + PLANNED_MS",
        _CLOCK,
    ),
    Bug(
        "small steps of the wall clock never add up",
        "ClockWatch.observe",
        "self._offset += step_ms",
        "self._offset = at - mono",
        _CLOCK,
    ),
    Bug(
        "a wall clock that goes back is not noticed",
        "ClockWatch.observe",
        "abs(step_ms) <= STEP_TOLERANCE_MS",
        "step_ms <= STEP_TOLERANCE_MS",
        _CLOCK,
    ),
    Bug(
        "a sleep begins when it ends",
        "ClockWatch.observe",
        "since = self._at",
        "since = at",
        _CLOCK,
    ),
    Bug(
        "the monotonic clock stops while the machine sleeps",
        "_boot_ms",
        "time.clock_gettime_ns(time.CLOCK_BOOTTIME)",
        "time.thread_time_ns()",
        _CLOCK,
    ),
    Bug(
        "a sleep hides a step",
        "Loop._check_clocks",
        (
            "if since:\n"
            "    runner.take(Resumed(at=now.at, mono=now.mono, since=since))\n"
            "if step_ms:\n"
            "    runner.take(ClockStepped(at=now.at, mono=now.mono, step_ms=step_ms))"
        ),
        (
            "if since:\n"
            "    runner.take(Resumed(at=now.at, mono=now.mono, since=since))\n"
            "elif step_ms:\n"
            "    runner.take(ClockStepped(at=now.at, mono=now.mono, step_ms=step_ms))"
        ),
        _CLOCK,
    ),
    Bug(
        "what is due is taken before the sleep is known",
        "Loop.turn",
        ("links = dict.fromkeys((*links, *self._check_clocks(now)))\nitems = self.queue.drain(BATCH_MAX_ITEMS)"),
        (
            "items = self.queue.drain(BATCH_MAX_ITEMS)\n"
            "for runner in self._running(self._runners):\n"
            "    runner.tick(now)\n"
            "links = dict.fromkeys((*links, *self._check_clocks(now)))"
        ),
        _CLOCK,
    ),
    Bug(
        "slots that a leap of the clock passes over were never planned",
        "Loop._check_clocks",
        "runner.plan_over(before, mono, now.at)",
        "pass",
        _CLOCK,
    ),
    # --- changed files -------------------------------------------------------------------------------------------
    Bug(
        "a reload leaves the roster as it was",
        "Reloader._take_over",
        "self._officers.exchange({name: officer.credential for name, officer in present.officers.items()})",
        "pass",
        _RELOAD,
    ),
    Bug(
        "a reload forgets that the connection stands",
        "LinkOpener.exchange",
        "runner.follow(before, now)",
        "pass",
        _RELOAD,
    ),
    Bug(
        "a reload ends a run without its last record",
        "LinkOpener.exchange",
        "if before.failure is None:\n    before.stop(now)",
        "pass",
        _RELOAD,
    ),
    Bug(
        "a reload takes files over that a start would refuse",
        "Reloader._differs",
        "candidate.check_link_file()",
        "pass",
        _RELOAD,
    ),
    Bug(
        "an attempt is judged by the roster from before its check",
        "OfficerCredentials.authenticate",
        "right and self._hashed.get(officer) == hashed",
        "right",
        "test_credentials",
    ),
    Bug(
        "a reload keeps the credentials that were proven before it",
        "OfficerCredentials.exchange",
        "self._proven.forget_all()",
        "pass",
        "test_credentials",
    ),
    Bug(
        "a wrong credential is remembered as a proven one",
        "OfficerCredentials.authenticate",
        "attempt.failed()",
        "attempt.failed()\nself._remember(officer, against, credential)",
        "test_credentials",
    ),
    Bug(
        "a wrong credential takes the place of the proven one",
        "ProvenCredentials.holds",
        "if same: ...",
        "if kept is not None: ...",
        "test_proven_credentials",
    ),
    Bug(
        "a follower is shown the state from before a change",
        "PresentState.of",
        "taken is None or taken.change is not change",
        "taken is None",
        "test_present_state",
    ),
    Bug(
        "a sink that fails is reported at every failure",
        "SinkReport.failed",
        "if not known: ...",
        "if sink: ...",
        "test_sink_report",
    ),
    Bug(
        "a log that takes a notification at once is not known to work again",
        "_Lane.take",
        "self._reached()",
        "pass",
        "test_notify",
    ),
    Bug(
        "the end of a notification takes a turn of its own",
        "Intake.notified",
        "self._queue.defer",
        "self._queue.push",
        "test_loop",
    ),
    Bug(
        "a key that waits for an officer signs",
        "Signer.seal",
        "self.enrolled if accepted is None else accepted",
        "self.enrolled",
        "test_signer",
    ),
    Bug(
        "a key that the link file does not enrol is kept to sign",
        "Signer.only",
        "public in named",
        "public",
        "test_signer",
    ),
    Bug(
        "a refused change of a file stays",
        "reload_or_undo",
        "undo()",
        "pass",
        "test_officers",
    ),
    Bug(
        "an edit overwrites what somebody else wrote meanwhile",
        "_replace",
        "if real.read_bytes() != before: ...",
        "if len(before) < 0: ...",
        "test_toml_edit",
    ),
    Bug(
        "a side takes over its own keys from the other side's file",
        "with_their_keys",
        "if party != settings.side: ...",
        "if party: ...",
        "test_link_changes",
    ),
    Bug(
        "a key is retired before another one is accepted",
        "signing",
        "(own, key) in link.accepted",
        "key in keys_of(link.content)[own]",
        "test_keys",
    ),
    Bug(
        "the comparison of another link file counts",
        "noted",
        "note.digest != content.digest",
        "note.link != content.terms.link",
        _CONFIRMED,
    ),
    Bug(
        "the comparison of a removed officer counts",
        "noted",
        "note.officer not in settings.officers",
        "not note.officer",
        _CONFIRMED,
    ),
    Bug(
        "a later epoch of an actual link opens unconfirmed",
        "comparison",
        "core.terms.epoch >= content.terms.epoch",
        "core.terms.epoch >= 1",
        _CONFIRMED,
    ),
    Bug(
        "a restored journal starts in its old epoch",
        "check_restored",
        "link.content.terms.epoch > restored.epoch",
        "link.content.terms.epoch >= restored.epoch",
        "test_check_restored",
    ),
    Bug(
        "a restoration is not recorded",
        "RestoredMark.event",
        "known.epoch > restored.epoch",
        "known.epoch >= restored.epoch",
        "test_restored",
    ),
    Bug(
        "the mark of a restored journal goes before its record is on disk",
        "LinkRunner.close_batch",
        'failpoint("before_append")',
        'failpoint("before_append")\nself._restored.settle()',
        _RUNNER,
    ),
    Bug(
        "a broker trusts an authority with further names",
        "permitted",
        "set(names) == set(for_identity(identities[0]).permitted_subtrees or [])",
        "set(names) >= set(for_identity(identities[0]).permitted_subtrees or [])",
        "test_constraints",
    ),
    Bug(
        "a broker trusts the authority of a side without constraints",
        "check_restricted",
        "if restricted is None: ...",
        "if restricted == identity == '': ...",
        "test_constraints",
    ),
    Bug(
        "the key of a request is not found before its rename",
        "key_for",
        "(key, next_of(key))",
        "(key,)",
        "test_cli_certificates test_changes",
    ),
    # --- what a console is told and tells --------------------------------------------------------------------------
    Bug(
        "a console that has crashed counts as silent at once, and again",
        "ConsoleScreens._missing",
        "now - self._silent_since >= MISSING_AFTER_MS",
        "now - self._silent_since >= 0",
        "test_console_screens",
    ),
    Bug(
        "a console that ends in order is still expected",
        "ConsoleScreens.told",
        "if not closing: ...",
        "if not closing or counts is not None: ...",
        "test_console_screens",
    ),
    Bug(
        "a reader that comes back misses what time alone has changed",
        "EventFeed._taken",
        "before.certain and before.content == content",
        "before.certain",
        "test_event_stream_feed",
    ),
    Bug(
        "a change within the pause of a look is seen a second late",
        "EventFeed.look",
        "before.change is runner.changed.next and real_ms - before.real_ms < LOOK_AGAIN_MS",
        "real_ms - before.real_ms < LOOK_AGAIN_MS",
        "test_event_stream_feed",
    ),
)
