"""Types of the documents about journals, one or several: see `json_outputs`."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

from endpoints.journal.archived_mark import Moved
from protocol.core.acts import ActKind
from protocol.core.event_fields import Rules
from protocol.core.snapshot import Snapshot
from protocol.core.staleness import Staleness
from protocol.record.evidence import Sighting
from protocol.record.findings import Verdict
from protocol.record.ledger_entries import State as MessageState
from protocol.record.replay import Divergence, NotRunAgain
from protocol.record.trusted_files import Judged
from protocol.record.zone_data import ZoneDifference
from protocol.wire.messages import Decision, Digest, Identifier, RefusalReason, Status, Utc


class ActRow(TypedDict):
    """One act about a message, as this journal recorded it."""

    act: ActKind
    at: Utc
    party: Identifier
    officer: NotRequired[Identifier]
    decision: NotRequired[Decision]
    reason: NotRequired[RefusalReason]
    reference: NotRequired[str]
    referral: NotRequired[Identifier]
    text: NotRequired[Any]


class MessageRow(TypedDict):
    """One message of either side, as this side's journal has it: `messages --json`, one a line with `--follow`."""

    reference: str
    sender: Identifier
    epoch: int
    seq: int
    kind: str
    state: MessageState
    # by its sender's clock
    at: Utc
    sent_at: Utc | None
    received_at: Utc | None
    receipted_at: Utc | None
    acknowledged_at: Utc | None
    acknowledged_by: Identifier | None
    decision: str | None
    refused: str | None
    refused_by: str | None
    change: str | None
    changed_by: str | None
    stale: Staleness | None
    acts: list[ActRow]
    body: dict[str, Any]


class MessagesOutput(TypedDict):
    """`messages --json`."""

    link: Identifier
    status: Literal["actual", "exercise"]
    side: Identifier
    messages: list[MessageRow]


class ShowOutput(MessageRow):
    """`show REF --json` of a message."""

    # whether the broker has accepted it, as far as the running endpoint knows
    broker_has: bool
    # what an act on it carries as `seen`; null if nothing can be done about it
    seen: Digest | None


class ShowDraftOutput(TypedDict):
    """`show draft/3 --json`."""

    reference: str
    kind: Literal["draft"]
    # `held`, or how it ended
    state: Literal["held", "released", "discarded", "expired"]
    draft: str
    officer: Identifier
    at: Utc
    expires_at: Utc
    # the whole alert as it would be sent, without `released_by`
    item: dict[str, Any]
    acts: list[ActRow]
    seen: Digest | None


class FoundProblem(TypedDict):
    """Something that is wrong with a journal."""

    # null if it is no record
    record: int | None
    reason: str


class RecordsRange(TypedDict):
    """Records, both ends included."""

    first: int
    last: int


class RestorationRow(TypedDict):
    """A restoration that a journal records."""

    restored_at: Utc
    records: int
    head: Digest


class UnreadableMark(TypedDict):
    """A mark of a restored journal that cannot be read."""

    unreadable: str


class VerifyOutput(TypedDict):
    """`log verify --json` of one journal; of several, a list of these."""

    journal: str
    link: Identifier | None
    side: Identifier | None
    records: int
    intact: bool
    verdict: Verdict
    # it was collected from standard output
    collected: bool
    begins_at: int | None
    # the number of the checkpoint that it begins with
    from_checkpoint: int | None
    restored: dict[str, Any] | None
    archived: Moved | None
    restorations: list[RestorationRow]
    missing: list[RecordsRange]
    # the last record that a valid signed head covers
    sealed_upto: int
    # how many records one covers
    vouched_for: int
    judged_under: list[Judged]
    # the hash of the last record
    head: str
    problems: list[FoundProblem]


class OtherRules(TypedDict):
    """Records of other rules."""

    record: int
    rules: Rules


class ReplayOutput(TypedDict):
    """`replay --json`."""

    begins_at: int | None
    # the number of the checkpoint that it begins with
    from_checkpoint: int | None
    restored: dict[str, Any] | None
    restorations: list[RestorationRow]
    records: int
    identical: bool
    divergence: Divergence | None
    state: Snapshot | None
    not_run_again: list[NotRunAgain]
    other_rules: OtherRules | None


class PathActRow(TypedDict):
    """One act about a message, as all journals recorded it."""

    act: ActKind
    at: Utc
    party: Identifier
    officer: NotRequired[Identifier]
    decision: NotRequired[Decision]
    reason: NotRequired[RefusalReason]
    reference: NotRequired[str]
    recorded_at: dict[Identifier, Utc]
    body: NotRequired[dict[str, Any]]
    text: NotRequired[Any]
    referral: NotRequired[Identifier]


class PathRow(TypedDict):
    """The path of one message: each time by the clock of the side that recorded it."""

    sender: Identifier
    epoch: int
    seq: int
    kind: str
    sent_at: Utc | None
    received_at: Utc | None
    receipted_at: Utc | None
    acknowledged_at: Utc | None
    refused: str | None
    change: str | None
    changed_by: str | None
    refused_by: str | None
    state: MessageState
    at: Utc
    body: dict[str, Any]
    acts: list[PathActRow]


class VersionRow(TypedDict):
    """One of several digests of a message, and the first record that has it."""

    message: str
    digest: Digest
    seen: Sighting


class MissingFrame(TypedDict):
    """A verified frame that its signer's journal did not seal."""

    signer: Identifier
    channel: Literal["message", "receipt"]
    messages: list[str]
    receipt_upto: int | None
    seen: Sighting


class ImpossibleRow(TypedDict):
    """Two records whose times contradict each other."""

    what: str
    side: Identifier
    message: str | None
    records: list[Sighting]


class Disagreements(TypedDict):
    """What journals disagree about."""

    # by side: messages that its journal has and that another should have and lacks
    only_in: dict[Identifier, list[str]]
    # not receipted, in their sender's journal alone: no disagreement
    outstanding: list[str]
    differing: list[str]
    versions: list[VersionRow]
    missing_frames: list[MissingFrame]
    impossible: list[ImpossibleRow]
    # epochs that were opened under different terms
    policies_differ: list[int]
    zone_data: list[ZoneDifference]


class VouchedFor(TypedDict):
    """How many records of a journal a signed head covers."""

    records: int
    vouched_for: int


class ReconcileOutput(Disagreements):
    """`reconcile --json`."""

    agree: bool
    link: Identifier | None
    # by epoch
    statuses: dict[str, Status]
    compared: int
    not_compared: int
    compared_by_checkpoint: int
    messages: list[PathRow]
    # by side
    begins_at: dict[Identifier, int]
    ends_at: dict[Identifier, Sighting | None]
    vouched_for: dict[Identifier, VouchedFor]
    judged_under: dict[Identifier, list[Judged]]
    restored: dict[Identifier, dict[str, Any] | None]
    restorations: dict[Identifier, list[RestorationRow]]
    keys_only_in: dict[Identifier, list[str]]
