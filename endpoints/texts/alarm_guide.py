"""What each alarm means, and what the duty officer does about it.

`docs/operations.md` says the same, and more for the engineer; a test compares them. Commands stand between backticks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from endpoints.texts.i18n import Translator
from protocol.core.alarms import AlarmCode


class AlarmGuide(NamedTuple):
    """The guide to the alarms of one code, in English: texts of the catalogues, for `Translator.fixed`."""

    meaning: str
    officer: str


GUIDES: dict[AlarmCode, AlarmGuide] = {
    AlarmCode.HEARTBEAT_MISSED: AlarmGuide(
        meaning="the line test of a slot did not come within its grace. The line, the other side's service, its "
        "clock, or its officer (where officers place tests) failed. Nobody knows yet which.",
        officer="ask the other duty officer over the first channel whether they placed the test and what their "
        "`status` says. Where officers place tests, ask for an unscheduled one, or place one: `deconflict "
        "test CONFIG --officer ID`.",
    ),
    AlarmCode.HEARTBEAT_UNRECEIPTED: AlarmGuide(
        meaning="a test left here, and the other side's service has not receipted it: it does not run, is not "
        "connected, or refuses our frames.",
        officer="tell the other duty officer over the first channel. Treat the line as dead towards them.",
    ),
    AlarmCode.HEARTBEAT_UNANSWERED: AlarmGuide(
        meaning="the other service has the test, and no officer has answered it in time. The line works between the "
        "machines; the people at one end do not see it. Both sides raise it.",
        officer="on the answering side, answer it: `deconflict answer CONFIG REF --officer ID`. On the calling side, "
        "wake the other duty officer by telephone.",
    ),
    AlarmCode.ALERT_UNACKNOWLEDGED: AlarmGuide(
        meaning="an alert has waited for an officer longer than its precedence allows, or nothing followed a promise "
        "to reply.",
        officer="on the receiving side, read it now (`deconflict show CONFIG REF`) and acknowledge or refuse it. On "
        "the sending side, say it by voice.",
    ),
    AlarmCode.BROKER_UNREACHABLE: AlarmGuide(
        meaning="subject `broker`: no connection to the broker for 30 s; the detail says why. Subjects `publish/...`: "
        "there is a connection, and the broker refuses what is published. Messages wait in the outbox and "
        "leave when the connection is back.",
        officer="treat the line as dead in both directions. Messages that are accepted here are kept, and nobody "
        "reads them meanwhile.",
    ),
    AlarmCode.PEER_DISCONNECTED: AlarmGuide(
        meaning="the broker says that a party is gone, or nothing of the party has arrived for 50 s: neither presence "
        "nor, although the broker calls it present, its signed signs of life. The broker's word is a hint, "
        "never evidence. If `status` says `peer_silent`, the signs of life are missing: then frames do not "
        "pass either, as when a bridge between two brokers is cut.",
        officer="nothing by itself. If a test or a receipt is overdue too, ask the other duty officer over the first "
        "channel.",
    ),
    AlarmCode.CLOCK_SKEW: AlarmGuide(
        meaning="signed times prove that a party's clock is ahead, behind, or was set back by more than the policy "
        "allows. The subject names the party and the way. Times in that party's messages are wrong by as "
        "much.",
        officer="read times in that party's messages with the difference in mind; agree on times by voice where they "
        "matter.",
    ),
    AlarmCode.CLOCK_STEP: AlarmGuide(
        meaning="this machine's wall clock was set, against its monotonic clock. Slots in the skipped interval may be "
        "unknown.",
        officer="know that times in the journal before and after do not fit together. If the engineer cannot explain "
        "it, report it.",
    ),
    AlarmCode.BAD_FRAMES: AlarmGuide(
        meaning="frames were refused that an honest peer and broker do not send: wrong signatures, malformed, for "
        "another link, or too many repeated ones. Nothing of them was applied. A fault, a wrong key, or an "
        "attack through the broker.",
        officer="what `status` and `messages` show is still true: only verified words are in it. Tell the engineer.",
    ),
    AlarmCode.EQUIVOCATION: AlarmGuide(
        meaning="two different messages under one number, both validly signed. A second copy of the other side's "
        "installation runs on an older journal, or someone has its keys. That direction stops until a new "
        "epoch.",
        officer="trust nothing that came after the named message until people of both sides have spoken. Use other "
        "channels from now on.",
    ),
    AlarmCode.FORK: AlarmGuide(
        meaning="the other side's signed receipt contradicts what this side sent: the two sides do not have the same "
        "messages.",
        officer="as for `equivocation`: what this side sent may have been read differently. Repeat what is still in "
        "force by voice.",
    ),
    AlarmCode.JOURNAL_BEHIND: AlarmGuide(
        meaning="the other side holds receipts of this side beyond the end of this journal: the journal is an older "
        "copy, or lost its end. Messages of the other side since then may be unknown here.",
        officer="ask the other duty officer what was sent and acknowledged since the last message that `deconflict "
        "messages` shows here.",
    ),
    AlarmCode.POLICY_MISMATCH: AlarmGuide(
        meaning="the other side speaks another epoch or another policy. Usually one side has opened the new epoch and "
        "the other not yet.",
        officer="ask over the first channel whether a change is under way. Messages wait meanwhile.",
    ),
    AlarmCode.SCHEDULE_DISAGREEMENT: AlarmGuide(
        meaning="a test names a slot that this side's schedule does not have: another edition of the time zone "
        "database, or a wrong clock.",
        officer="answer the test all the same. Agree by voice when the next test is due.",
    ),
    AlarmCode.IDENTITY_IN_USE: AlarmGuide(
        meaning="another client connects to the broker with this side's certificate: a second copy of the "
        "installation, or a stolen key.",
        officer="expect the line to break again and again. Use the first channel for what is urgent.",
    ),
    AlarmCode.SPACE_LOW: AlarmGuide(
        meaning="the journal's disk is nearly full. New alerts are refused; receipts, acknowledgements and alarms "
        "still have a reserve.",
        officer="send no alert over this line until it is cleared: use the first channel.",
    ),
    AlarmCode.JOURNAL_FAILURE: AlarmGuide(
        meaning="a write or flush of the journal failed, or it cannot be opened. The link has stopped; nothing is "
        "receipted any more.",
        officer="the line is dead. Report that to the other duty officer over the first channel.",
    ),
    AlarmCode.UNDELIVERED: AlarmGuide(
        meaning="an epoch ended with messages that the other side never receipted. They are never sent again.",
        officer="`deconflict messages CONFIG` shows them. Decide for each whether it still holds: send it anew, or "
        "say it by voice. Acknowledging the alarm takes them over.",
    ),
    AlarmCode.WATCH_BLIND: AlarmGuide(
        meaning="this service did not watch for an interval: it was stopped, asleep, or its clock was stepped over. "
        "What fell due in it is unknown.",
        officer="ask the other duty officer whether anything happened in that interval. `deconflict timeline` shows "
        "what arrived later.",
    ),
    AlarmCode.KEYS_CHANGED: AlarmGuide(
        meaning="the link file has other public keys than those that were accepted. They verify nothing until an "
        "officer accepts them.",
        officer="call the other side by voice, read the words of the fingerprint to each other, and acknowledge with "
        "the three missing words. If the other side knows of no change, do not acknowledge, and report it.",
    ),
    AlarmCode.CERTIFICATE_EXPIRING: AlarmGuide(
        meaning="a certificate that the connection depends on (own, authority, broker) ends within 30 days, or within "
        "7. After its end there is no connection.",
        officer="make sure that an engineer knows.",
    ),
    AlarmCode.CREDENTIALS_REFUSED: AlarmGuide(
        meaning="ten wrong credentials of officers in ten minutes from one user or session of this machine: a "
        "mistyped file, or guessing.",
        officer="say whether it was you. If nobody knows of it, report it, and do not type a credential on that "
        "machine.",
    ),
    AlarmCode.SINK_FAILING: AlarmGuide(
        meaning="a receiver of notifications, or the monitor that expects a sign of life, does not take what it is "
        "given. People may not learn of alerts and alarms.",
        officer="keep `deconflict status CONFIG --follow` in view until it is cleared.",
    ),
    AlarmCode.NOBODY_LISTENING: AlarmGuide(
        meaning="for two minutes, no screen of a console has had its sound on, so nobody would hear an alarm. "
        "Screens that are closed, or whose sound was never switched on, are silent.",
        officer="open the console on a screen that somebody watches, and switch its sound on.",
    ),
}


def code_parts(text: str) -> list[tuple[str, bool]]:
    """Return the parts of a text, each with whether it stands between backticks."""
    return [(part, bool(number % 2)) for number, part in enumerate(text.split("`")) if part]


def changed_keys(
    added: Iterable[str], removed: Iterable[str], fingerprint: Mapping[str, Sequence[str]], t: Translator
) -> str:
    """Return the words for changed keys, with the words of the fingerprint in the reader's language."""
    words = fingerprint.get(t.language) or next(iter(fingerprint.values()))
    return t(
        "added {added}; removed {removed}; added keys verify nothing until an officer accepts them; "
        "fingerprint: {words}",
        added=", ".join(added) or t("none"),
        removed=", ".join(removed) or t("none"),
        words=" ".join(words),
    )
