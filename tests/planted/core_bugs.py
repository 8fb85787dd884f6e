"""Bugs for the core: streams, receipts, frames, terms, keys. See `bug`."""

from __future__ import annotations

from tests.planted.bug import Bug

_STREAMS = "tests/protocol/test_outbox.py tests/protocol/test_link_streams.py tests/protocol/test_pair_streams.py"
_INBOX = "tests/protocol/test_link_inbox.py tests/protocol/test_pair_streams.py"
_RECEIPTS = "tests/protocol/test_link_receipts.py tests/protocol/test_pair_streams.py"
_REFUSALS = "tests/protocol/test_link_refusals.py tests/protocol/test_pair_bodies.py"
_ALERTS = "tests/protocol/test_link_alerts.py tests/protocol/test_pair_bodies.py tests/protocol/test_link_line_tests.py"
_WATCH = "tests/protocol/test_link_line_tests.py tests/protocol/test_link_time.py tests/protocol/test_pair_watch.py"
_EPOCHS = "tests/protocol/test_pair_epochs.py tests/protocol/test_link_epochs.py"
_FRAMES = "tests/protocol/test_envelope.py tests/protocol/test_keyring.py tests/test_vectors.py"

CORE_BUGS: tuple[Bug, ...] = (
    # --- the peer's stream ---------------------------------------------------------------------------------------
    Bug(
        "a run that ends exactly 256 ahead of a gap is refused",
        "protocol/stream.py",
        "run[-1].seq > state.upto + AHEAD_MAX",
        "run[-1].seq >= state.upto + AHEAD_MAX",
        _INBOX,
    ),
    Bug(
        "what lies beyond a gap is applied at once",
        "protocol/stream.py",
        "            if first <= state.upto + 1 <= run[-1].seq:\n                message = run[state.upto + 1 - first]",
        "            if state.upto < run[-1].seq:\n                message = run[max(0, state.upto + 1 - first)]",
        _INBOX,
    ),
    Bug(
        "runs beyond a gap are forgotten when an earlier run is applied",
        "protocol/stream.py",
        "state.ahead = {first: run for first, run in state.ahead.items() if run[-1].seq > message.seq}",
        "state.ahead = {}",
        _INBOX,
    ),
    Bug(
        "equivocation is missed in what was applied already",
        "protocol/stream.py",
        "if known is not None and known != digest:",
        "if known is not None and known != digest and message.seq > state.upto:",
        _INBOX,
    ),
    Bug(
        "prev is checked within a run only",
        "protocol/stream.py",
        "if before is not None and message.prev != before:",
        "if place and message.prev != before:",
        _INBOX,
    ),
    Bug(
        "a run is not compared with the one that waits behind it",
        "protocol/stream.py",
        "if first == follower and ahead[0].prev != digests[-1]:",
        "if first < follower and ahead[0].prev != digests[-1]:",
        _INBOX,
    ),
    Bug(
        "the hashes of applied messages are forgotten at once",
        "protocol/stream.py",
        "state.hashes.pop(message.seq - HASHES_KEPT, None)",
        "state.hashes.pop(message.seq, None)",
        _INBOX,
    ),
    Bug(
        "a shorter run takes the place of a longer one",
        "protocol/stream.py",
        "if len(run) > len(known):",
        "if run:",
        _INBOX,
    ),
    Bug(
        "a receipt counts what waits beyond a gap",
        "protocol/stream.py",
        "return Claim(upto=self.state.upto, head=self.state.head, at=written(at))",
        "upto = max([self.state.upto, *(run[-1].seq for run in self.state.ahead.values())])\n"
        "        return Claim(upto=upto, head=self.state.hashes.get(upto, self.state.head), at=written(at))",
        _INBOX,
    ),
    # --- our own stream ------------------------------------------------------------------------------------------
    Bug("a stale receipt is accepted", "protocol/stream.py", 'return "stale"', 'return "news"', _RECEIPTS),
    Bug(
        "a receipt for what has not left yet is accepted",
        "protocol/stream.py",
        "if claim.upto > self.sent:",
        "if claim.upto > state.last:",
        _RECEIPTS,
    ),
    Bug(
        "the head of a receipt is not compared",
        "protocol/stream.py",
        'return "news" if state.hashes[claim.upto] == claim.head else "fork"',
        'return "news"',
        _RECEIPTS,
    ),
    Bug(
        "a repeated receipt with another head is let pass",
        "protocol/stream.py",
        "if claim.upto == state.receipted and claim.head != state.receipted_head:",
        "if claim.upto == state.receipted and not claim.head:",
        _RECEIPTS,
    ),
    Bug(
        "a frame is forgotten when a receipt covers its first message",
        "protocol/stream.py",
        "if run.last > claim.upto]",
        "if run.first > claim.upto]",
        _RECEIPTS,
    ),
    Bug(
        "the outbox never gets lighter",
        "protocol/stream.py",
        "state.unreceipted_bytes -= state.sizes.pop(seq)",
        "state.sizes.pop(seq)",
        _STREAMS,
    ),
    Bug(
        "a ninth frame is sealed",
        "protocol/stream.py",
        "if start < len(state.waiting) and len(state.sealed) + len(runs) < SEALED_MAX:",
        "if start < len(state.waiting) and len(state.sealed) + len(runs) <= SEALED_MAX:",
        _STREAMS,
    ),
    Bug(
        "a run is allowed one message too many",
        "protocol/stream.py",
        "if place > start and size + needed > MESSAGE_MAX_BYTES:",
        "if place > start and size > MESSAGE_MAX_BYTES:",
        _STREAMS,
    ),
    Bug(
        "acknowledgements have no reserve",
        "protocol/stream.py",
        "limit = OUTBOX_MAX_MESSAGES + (OUTBOX_RESERVE_MESSAGES if reserve else 0)",
        "limit = OUTBOX_MAX_MESSAGES",
        _STREAMS,
    ),
    Bug(
        "resending never backs off",
        "protocol/stream.py",
        "        run.tries += 1\n",
        "        run.tries = 1\n",
        _STREAMS,
    ),
    Bug(
        "only the oldest frame is resent on a connect",
        "protocol/stream.py",
        "return [run.first for run in self.state.sealed]",
        "return [run.first for run in self.state.sealed[:1]]",
        _STREAMS,
    ),
    Bug(
        "the floor counts what was sent, not what was receipted",
        "protocol/link.py",
        "floor=self._outbox.state.receipted,",
        "floor=self._outbox.state.last,",
        _STREAMS,
    ),
    # --- what a side does with frames ----------------------------------------------------------------------------
    Bug(
        "a repeated message is not receipted again",
        "protocol/link.py",
        "        self.state.receipt_owed = True\n        try:\n",
        "        self.state.receipt_owed |= payload.messages[-1].seq > inbox.upto\n        try:\n",
        _INBOX,
    ),
    Bug(
        "no receipt on a connect",
        "protocol/link.py",
        "        # SPEC M4.3, R1.3\n        self.state.receipt_owed = True\n",
        "        # SPEC M4.3, R1.3\n",
        _STREAMS,
    ),
    Bug(
        "the floor is ignored",
        "protocol/link.py",
        "if payload.floor > inbox.upto:",
        "if payload.floor > inbox.upto > 0:",
        _INBOX,
    ),
    Bug(
        "a direction that was stopped goes on",
        "protocol/link.py",
        "        if inbox.stopped:\n",
        "        if inbox.stopped == AlarmCode.JOURNAL_BEHIND:\n",
        _INBOX,
    ),
    Bug(
        "a receipt is lost with the messages that it rides with",
        "protocol/link.py",
        "        if payload.receipt is not UNSET:\n"
        "            self._take_claim(turn, payload.sender, payload.receipt)\n"
        "        inbox = self._inbox.state\n",
        "        inbox = self._inbox.state\n"
        "        if payload.receipt is not UNSET and not inbox.stopped:\n"
        "            self._take_claim(turn, payload.sender, payload.receipt)\n",
        f"{_INBOX} {_RECEIPTS}",
    ),
    Bug(
        "a fork raises an alarm and stops nothing",
        "protocol/link.py",
        "            self._outbox.state.stopped = AlarmCode.FORK\n",
        "",
        _RECEIPTS,
    ),
    Bug(
        "a refusal is answered with a refusal",
        "protocol/link.py",
        '        if message.body.get("type") == kind_of(Refusal):\n            return\n',
        "",
        _REFUSALS,
    ),
    Bug(
        "frames of other terms are answered without end",
        "protocol/link.py",
        "if rested and (first or not receipt):",
        "if first or not receipt:",
        f"{_EPOCHS} tests/protocol/test_link_refusals.py",
    ),
    Bug(
        "a peer's return resends nothing",
        "protocol/link.py",
        "        if returned and self.state.connected:\n",
        "        if returned and not self.state.connected:\n",
        _STREAMS,
    ),
    Bug(
        "new alerts are taken although the disk is nearly full",
        "protocol/link.py",
        'if news and self._alarms.active(AlarmCode.SPACE_LOW, "journal"):',
        'if news and self._alarms.active(AlarmCode.SPACE_LOW, "disk"):',
        _ALERTS,
    ),
    Bug(
        "the duty officer is told of alerts only",
        "protocol/link.py",
        "        self._notices.message(turn, reference, message.body)\n",
        "        if isinstance(body, Alert):\n            self._notices.message(turn, reference, message.body)\n",
        f"{_INBOX} {_WATCH}",
    ),
    Bug(
        "the last message that the peer knows of is off by one",
        "protocol/link.py",
        "self._references.known_upto(self.peer, message.seq)",
        "self._references.known_upto(self.peer, message.seq - 1)",
        f"{_REFUSALS} {_ALERTS}",
    ),
    Bug(
        "one undelivered message is not worth an alarm",
        "protocol/link.py",
        "            if left:\n",
        "            if len(left) > 1:\n",
        _EPOCHS,
    ),
    Bug(
        "delay is taken for skew",
        "protocol/link.py",
        'self._skew(turn, self.peer, "ahead", parsed(message.at) - turn.at)',
        'self._skew(turn, self.peer, "ahead", abs(parsed(message.at) - turn.at))',
        _RECEIPTS,
    ),
    # --- frames, terms, keys -------------------------------------------------------------------------------------
    Bug(
        "a bad signature does no harm",
        "protocol/core.py",
        "if event.verdict != VERIFIED:",
        "if event.verdict not in {VERIFIED, FrameRefusal.BAD_SIGNATURE}:",
        _INBOX,
    ),
    Bug(
        "a frame of another link is taken if its name begins alike",
        "protocol/core.py",
        "if payload.link != terms.link:",
        "if not payload.link.startswith(terms.link):",
        _INBOX,
    ),
    Bug(
        "a party may speak on the other one's topic",
        "protocol/core.py",
        "if payload.sender != event.sender or payload.sender not in self._senders():",
        "if payload.sender not in self._senders():",
        "tests/protocol/test_observer.py",
    ),
    Bug(
        "a frame for somebody else is read",
        "protocol/core.py",
        "if payload.recipient != self._other(payload.sender):",
        "if payload.recipient == payload.sender:",
        _INBOX,
    ),
    Bug(
        "the policy of a frame is ignored",
        "protocol/core.py",
        "if payload.epoch == terms.epoch and payload.policy == self._policy_digest:",
        "if payload.epoch == terms.epoch:",
        f"{_EPOCHS} {_INBOX}",
    ),
    Bug(
        "the epoch of a frame is ignored",
        "protocol/core.py",
        "if payload.epoch == terms.epoch and payload.policy == self._policy_digest:",
        "if payload.epoch <= terms.epoch:",
        f"{_EPOCHS} {_INBOX}",
    ),
    Bug(
        "an epoch is opened twice",
        "protocol/core.py",
        "if before is not None and terms.epoch <= before.epoch:",
        "if before is not None and terms.epoch < before.epoch:",
        _EPOCHS,
    ),
    Bug(
        "a fork's alarm outlives its epoch",
        "protocol/core.py",
        "turn, AlarmCode.EQUIVOCATION, AlarmCode.FORK, AlarmCode.JOURNAL_BEHIND, AlarmCode.POLICY_MISMATCH",
        "turn, AlarmCode.EQUIVOCATION, AlarmCode.JOURNAL_BEHIND, AlarmCode.POLICY_MISMATCH",
        _EPOCHS,
    ),
    Bug(
        "keys of any party are good for every party",
        "protocol/keyring.py",
        "keys = self._parties.get(sender)",
        "keys = tuple(key for party in self._parties.values() for key in party) or None",
        _FRAMES,
    ),
    Bug(
        "one of two required signatures is enough",
        "protocol/keyring.py",
        "        if missing:\n            detail",
        "        if len(missing) == len(self._required):\n            detail",
        _FRAMES,
    ),
    Bug(
        "a receipt may pass for a message",
        "protocol/keyring.py",
        "if opened.payload_type != payload_type:",
        "if opened.payload_type not in PAYLOAD_TYPES.values():",
        _FRAMES,
    ),
    Bug(
        "a key of low order is enrolled",
        "protocol/keyring.py",
        "if wrong := weakness(public):",
        'if (wrong := weakness(public)) and "order" not in wrong:',
        f"{_FRAMES} tests/protocol/test_curve_points.py",
    ),
    Bug(
        "what is signed counts characters, not bytes",
        "protocol/envelope.py",
        "(len(kind), kind, len(payload), payload)",
        '(len(kind), kind, len(payload.decode(errors="replace")), payload)',
        _FRAMES,
    ),
    Bug(
        "a frame of exactly the largest size is refused",
        "protocol/envelope.py",
        "if len(frame) > FRAME_MAX_BYTES:",
        "if len(frame) >= FRAME_MAX_BYTES:",
        _FRAMES,
    ),
    Bug(
        "base64 may be written in several ways",
        "protocol/envelope.py",
        "if b64encode(data).decode() != text:",
        "if len(b64encode(data)) != len(text):",
        _FRAMES,
    ),
    Bug(
        "keys of a payload may stand in any order",
        "protocol/canonical.py",
        "    if again != data:\n",
        "    if sorted(again) != sorted(data):\n",
        "tests/protocol/test_canonical.py",
    ),
    Bug(
        "only short strings have to be in normal form",
        "protocol/canonical.py",
        'if not unicodedata.is_normalized("NFC", data.decode()):',
        'if len(data) < 100 and not unicodedata.is_normalized("NFC", data.decode()):',
        "tests/protocol/test_canonical.py",
    ),
    Bug(
        "a run with a gap inside is read",
        "protocol/payloads.py",
        "        if message.seq != before:\n",
        "        if message.seq < before:\n",
        "tests/protocol/test_payloads.py",
    ),
)
