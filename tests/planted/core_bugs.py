"""Bugs for the core: streams, receipts, frames, terms, keys. See `bug`."""

from __future__ import annotations

from tests.planted.bug import Bug

_STREAMS = "test_outbox test_link_streams"
_INBOX = "test_link_inbox"
_RECEIPTS = "test_link_receipts test_false_times"
_REFUSALS = "test_link_refusals"
_ALERTS = "test_link_alerts test_link_line_tests"
_WATCH = "test_link_line_tests test_link_time"
_EPOCHS = "test_link_epochs"
_FRAMES = "test_envelope test_keyring test_vectors"
_TIMES = "test_false_times"

CORE_BUGS: tuple[Bug, ...] = (
    # --- the peer's stream ---------------------------------------------------------------------------------------
    Bug(
        "a run that ends exactly 256 ahead of a gap is refused",
        "Inbox._too_far_ahead",
        "run[-1].seq > self.state.upto + AHEAD_MAX",
        "run[-1].seq >= self.state.upto + AHEAD_MAX",
        _INBOX,
    ),
    Bug(
        "what lies beyond a gap is applied at once",
        "Inbox.next_message",
        "if first <= state.upto + 1 <= run[-1].seq:\n    message = run[state.upto + 1 - first]\n    break",
        "if state.upto < run[-1].seq:\n    message = run[max(0, state.upto + 1 - first)]\n    break",
        _INBOX,
    ),
    Bug(
        "runs beyond a gap are forgotten when an earlier run is applied",
        "Inbox.next_message",
        "{first: run for first, run in state.ahead.items() if run[-1].seq > message.seq}",
        "{}",
        _INBOX,
    ),
    Bug(
        "equivocation is missed in what was applied already",
        "Inbox._compared",
        "known is not None and known != digest",
        "known is not None and known != digest and message.seq > state.upto",
        _INBOX,
    ),
    Bug(
        "prev is checked within a run only",
        "Inbox._compared",
        "before is not None and message.prev != before",
        "place and message.prev != before",
        _INBOX,
    ),
    Bug(
        "a run is not compared with the one that waits behind it",
        "Inbox._compared",
        "first == follower and ahead[0].prev != digests[-1]",
        "first < follower and ahead[0].prev != digests[-1]",
        _INBOX,
    ),
    Bug(
        "the hashes of applied messages are forgotten at once",
        "Inbox.next_message",
        "state.hashes.pop(message.seq - HASHES_KEPT, None)",
        "state.hashes.pop(message.seq, None)",
        _INBOX,
    ),
    Bug(
        "a shorter run takes the place of a longer one",
        "Inbox.take",
        "self._knows(run)",
        "run[-1].seq <= state.upto",
        _INBOX,
    ),
    Bug(
        "a receipt counts what waits beyond a gap",
        "Inbox.claim",
        "return Claim(upto=self.state.upto, head=self.state.head, at=written(at))",
        (
            "upto = max([self.state.upto, *(run[-1].seq for run in self.state.ahead.values())])\n"
            "return Claim(upto=upto, head=self.state.hashes.get(upto, self.state.head), at=written(at))"
        ),
        _INBOX,
    ),
    # --- our own stream ------------------------------------------------------------------------------------------
    Bug(
        "a stale receipt is accepted",
        "Outbox.judge",
        '"news" if claim.upto > state.receipted else "stale"',
        '"news"',
        _RECEIPTS,
    ),
    Bug(
        "a receipt for what has not left yet is accepted",
        "Outbox.judge",
        "claim.upto > self.sent",
        "claim.upto > state.last",
        _RECEIPTS,
    ),
    Bug(
        "the head of a receipt is not compared",
        "Outbox.judge",
        "known != claim.head",
        "known != claim.head and claim.upto <= state.receipted",
        _RECEIPTS,
    ),
    Bug(
        "a repeated receipt with another head is let pass",
        "Outbox.judge",
        "state.receipted_head if claim.upto == state.receipted else state.hashes.get(claim.upto, claim.head)",
        "claim.head if claim.upto == state.receipted else state.hashes.get(claim.upto, claim.head)",
        _RECEIPTS,
    ),
    Bug(
        "the heads of receipted messages are forgotten",
        "Outbox.settle",
        "state.hashes.pop(seq - HASHES_KEPT, None)",
        "state.hashes.pop(seq, None)",
        _RECEIPTS,
    ),
    Bug(
        "a frame is forgotten when a receipt covers its first message",
        "Outbox.settle",
        "run.last > claim.upto",
        "run.first > claim.upto",
        _RECEIPTS,
    ),
    Bug(
        "the outbox never gets lighter",
        "Outbox.settle",
        "state.unreceipted_bytes -= state.sizes.pop(seq)",
        "state.sizes.pop(seq)",
        _STREAMS,
    ),
    Bug(
        "a ninth frame is sealed",
        "Outbox.next_runs",
        "start < len(state.waiting) and len(state.sealed) + len(runs) < SEALED_MAX",
        "start < len(state.waiting) and len(state.sealed) + len(runs) <= SEALED_MAX",
        _STREAMS,
    ),
    Bug(
        "a run is allowed one message too many",
        "Outbox.next_runs",
        "place > start and size + needed > MESSAGE_MAX_BYTES",
        "place > start and size > MESSAGE_MAX_BYTES",
        _STREAMS,
    ),
    Bug(
        "acknowledgements have no reserve",
        "Outbox.check_room",
        "OUTBOX_MAX_MESSAGES + (OUTBOX_RESERVE_MESSAGES if reserve else 0)",
        "OUTBOX_MAX_MESSAGES",
        _STREAMS,
    ),
    Bug(
        "resending never backs off",
        "Outbox.resend_oldest",
        "run.tries += 1",
        "run.tries = 1",
        _STREAMS,
    ),
    Bug(
        "only the oldest frame is resent on a connect",
        "Outbox.resend_all",
        "[run.first for run in self.state.sealed]",
        "[run.first for run in self.state.sealed[:1]]",
        _STREAMS,
    ),
    Bug(
        "the floor counts what was sent, not what was receipted",
        "Sealing._departures",
        "self._outbox.state.receipted",
        "self._outbox.state.last",
        _STREAMS,
    ),
    # --- what a side does with frames ----------------------------------------------------------------------------
    Bug(
        "a repeated message is not receipted again",
        "PeerStream.take",
        "self._state.receipt_owed = True",
        "self._state.receipt_owed |= payload.messages[-1].seq > inbox.upto",
        _INBOX,
    ),
    Bug(
        "no receipt on a connect",
        "Link._take",
        "self.state.receipt_owed = True",
        "pass",
        _STREAMS,
    ),
    Bug(
        "the floor is ignored",
        "PeerStream.take",
        "payload.floor > inbox.upto",
        "payload.floor > inbox.upto > 0",
        _INBOX,
    ),
    Bug(
        "a direction that was stopped goes on",
        "PeerStream.take",
        "if inbox.stopped: ...",
        "if inbox.stopped == AlarmCode.JOURNAL_BEHIND: ...",
        _INBOX,
    ),
    Bug(
        "a receipt is lost with the messages that it rides with",
        "Link._take_frame",
        "content.claim is not None",
        "content.claim is not None and not (content.run is not None and epoch.inbox.state.stopped)",
        f"{_INBOX} {_RECEIPTS}",
    ),
    Bug(
        "a fork raises an alarm and stops nothing",
        "OwnStream.take_claim",
        "self._outbox.state.stopped = AlarmCode.FORK",
        "pass",
        _RECEIPTS,
    ),
    Bug(
        "a refusal is answered with a refusal",
        "PeerStream._refuse",
        'if message.body.get("type") == kind_of(Refusal):\n    return',
        "pass",
        _REFUSALS,
    ),
    Bug(
        "frames of other terms are answered without end",
        "Link._answer_foreign",
        "rested and (first or not receipt)",
        "first or not receipt",
        f"{_EPOCHS} test_link_refusals",
    ),
    Bug(
        "a peer's return resends nothing",
        "Link._take",
        "returned and self.state.connected",
        "returned and not self.state.connected",
        _STREAMS,
    ),
    Bug(
        "new alerts are taken although the disk is nearly full",
        "OwnStream.say",
        'news and self._alarms.active(AlarmCode.SPACE_LOW, "journal")',
        'news and self._alarms.active(AlarmCode.SPACE_LOW, "disk")',
        _ALERTS,
    ),
    Bug(
        "only alerts notify the duty officer",
        "PeerStream._apply",
        "self._notifications.message(turn, reference, message)",
        "if kind_of(type(body)) == 'alert':\n    self._notifications.message(turn, reference, message)",
        f"{_INBOX} {_WATCH}",
    ),
    Bug(
        "the last message that the peer knows of is off by one",
        "PeerStream._apply",
        "self._references.known_upto(peer, message.seq)",
        "self._references.known_upto(peer, message.seq - 1)",
        f"{_REFUSALS} {_ALERTS}",
    ),
    Bug(
        "one undelivered message is not worth an alarm",
        "open_link_epoch",
        "if left: ...",
        "if len(left) > 1: ...",
        _EPOCHS,
    ),
    Bug(
        "delay is taken for skew",
        "PeerClocks.applied",
        'self._skew(turn, sender, "ahead", at - turn.at)',
        'self._skew(turn, sender, "ahead", abs(at - turn.at))',
        _RECEIPTS,
    ),
    Bug(
        "a message is compared with its predecessor alone",
        "PeerClocks.applied",
        "at if fall > self._limit_ms else at + max(0, fall)",
        "at",
        _TIMES,
    ),
    Bug(
        "a message that waited is dated before a receipt",
        "PeerClocks.floor",
        "first <= upto + 1 and first - 1 - before < SEALED_MAX",
        "first <= upto + 1",
        _TIMES,
    ),
    Bug(
        "the broker ends the alarm about a clock with an old receipt",
        "PeerClocks.claimed",
        'self._skew(turn, sender, "ahead", at - turn.at, clears=news)',
        'self._skew(turn, sender, "ahead", at - turn.at)',
        _TIMES,
    ),
    Bug(
        "our own clock's correction accuses the peer",
        "PeerClocks.own_clock_moved",
        "side in state.said",
        "side not in state.said",
        _TIMES,
    ),
    # --- frames, terms, keys -------------------------------------------------------------------------------------
    Bug(
        "a bad signature does no harm",
        "_verified_payload",
        "event.verdict != VERIFIED",
        "event.verdict not in {VERIFIED, FrameRefusal.BAD_SIGNATURE}",
        _INBOX,
    ),
    Bug(
        "a frame of another link is taken if its name begins alike",
        "FrameIntake._check_parties",
        "payload.link != self._epoch.terms.link",
        "not payload.link.startswith(self._epoch.terms.link)",
        _INBOX,
    ),
    Bug(
        "a party may speak on the other one's topic",
        "FrameIntake._check_parties",
        "payload.sender != event.sender or payload.sender not in self._senders",
        "payload.sender not in self._senders",
        "test_observer",
    ),
    Bug(
        "a frame for somebody else is read",
        "FrameIntake._check_parties",
        "payload.recipient != self._epoch.other(payload.sender)",
        "payload.recipient == payload.sender",
        _INBOX,
    ),
    Bug(
        "the policy of a frame is ignored",
        "FrameIntake._foreign",
        'FrameRefusal.WRONG_POLICY if payload.policy != self._epoch.policy_digest else ""',
        '""',
        f"{_EPOCHS} {_INBOX}",
    ),
    Bug(
        "the epoch of a frame is ignored",
        "FrameIntake._foreign",
        "payload.epoch != self._epoch.terms.epoch",
        "payload.epoch > self._epoch.terms.epoch",
        f"{_EPOCHS} {_INBOX}",
    ),
    Bug(
        "an epoch is opened twice",
        "check_terms",
        "before is not None and terms.epoch <= before.terms.epoch",
        "before is not None and terms.epoch < before.terms.epoch",
        _EPOCHS,
    ),
    Bug(
        "a fork's alarm outlives its epoch",
        "Epoch.supersede",
        (
            "self._books.alarms.clear_all(\n"
            "    turn, AlarmCode.EQUIVOCATION, AlarmCode.FORK, AlarmCode.JOURNAL_BEHIND, AlarmCode.POLICY_MISMATCH\n"
            ")"
        ),
        (
            "self._books.alarms.clear_all(\n"
            "    turn, AlarmCode.EQUIVOCATION, AlarmCode.JOURNAL_BEHIND, AlarmCode.POLICY_MISMATCH\n"
            ")"
        ),
        _EPOCHS,
    ),
    Bug(
        "keys of any party are good for every party",
        "Keyring.open",
        "self._parties.get(sender)",
        "tuple(key for party in self._parties.values() for key in party) or None",
        _FRAMES,
    ),
    Bug(
        "one of two required signatures is enough",
        "Keyring.open",
        "if missing: ...",
        "if len(missing) == len(self._required): ...",
        _FRAMES,
    ),
    Bug(
        "a receipt may pass for a message",
        "Keyring.open",
        "opened.payload_type != payload_type",
        "opened.payload_type not in PAYLOAD_TYPES.values()",
        _FRAMES,
    ),
    Bug(
        "a key of low order is enrolled",
        "_Key.__init__",
        "wrong := weakness(public)",
        '(wrong := weakness(public)) and "order" not in wrong',
        f"{_FRAMES} test_curve_points",
    ),
    Bug(
        "what is signed counts characters, not bytes",
        "pae",
        "(len(kind), kind, len(payload), payload)",
        '(len(kind), kind, len(payload.decode(errors="replace")), payload)',
        _FRAMES,
    ),
    Bug(
        "a frame of exactly the largest size is refused",
        "parse",
        "len(frame) > FRAME_MAX_BYTES",
        "len(frame) >= FRAME_MAX_BYTES",
        _FRAMES,
    ),
    Bug(
        "base64 may be written in several ways",
        "_unbase64",
        "b64encode(data).decode() != text",
        "len(b64encode(data)) != len(text)",
        _FRAMES,
    ),
    Bug(
        "keys of a payload may stand in any order",
        "decode",
        "again != data",
        "sorted(again) != sorted(data)",
        "test_canonical",
    ),
    Bug(
        "only short strings have to be in normal form",
        "_check",
        'not unicodedata.is_normalized("NFC", _unescaped(text))',
        'len(data) < 100 and not unicodedata.is_normalized("NFC", _unescaped(text))',
        "test_canonical",
    ),
    Bug(
        "a combining character after a newline is judged as one after an n",
        "_unescaped",
        r'text.replace(r"\\", "\n").replace(r"\n", "\n")',
        "text",
        "test_canonical",
    ),
    Bug(
        "characters that Unicode 14.0 does not have are admitted",
        "_check",
        "(character := unassigned(text)) is not None",
        '(character := unassigned(text)) == "\\ufffe"',
        "test_canonical",
    ),
    Bug(
        "a run with a gap inside is read",
        "read_message_payload",
        "message.seq != expected",
        "message.seq < expected",
        "test_payloads",
    ),
)
