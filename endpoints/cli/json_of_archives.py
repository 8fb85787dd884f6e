"""Types of the documents about archives, copies and exports of a journal: see `json_outputs`."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from protocol.record.findings import Verdict
from protocol.wire.messages import Digest, Identifier, Status, Utc


class ArchiveOutput(TypedDict):
    """`log archive --json`."""

    journal: str
    link: Identifier | None
    side: Identifier | None
    # the folder of `--to`
    to: str | None
    # up to which record the archive goes, and its hash
    records: int
    head: Digest | None
    # the archives that were made
    archived: list[str]
    # how many were there already; each was compared again
    unchanged: int
    # the originals that were removed
    removed: list[str]
    # of the segments of the new archives, and of the archives themselves
    bytes: int
    archive_bytes: int


class RestoreOutput(TypedDict):
    """`log restore --json`."""

    journal: str
    link: Identifier
    side: Identifier
    # where the journal is that was there before
    replaced: str | None
    unfinished_batch_left_out: bool
    restored_at: Utc
    # the copy
    source: str
    # how many records it had, and the hash of the last one
    records: int
    head: Digest
    # the latest epoch that was known then; a newer one has to follow
    epoch: int


class ExportOutput(TypedDict):
    """`log export --json`."""

    journal: str
    file: str
    verdict: Verdict
    # of `--jsonl`
    records: NotRequired[int]
    # of `--csv`
    rows: NotRequired[int]
    # of `--cap`
    messages: NotRequired[int]
    left_out: NotRequired[int]


class ExportHeading(TypedDict):
    """What an export is."""

    link: Identifier
    side: Identifier
    status: Status | None
    # the interval; null for an open end
    since: Utc | None
    until: Utc | None
    # the software and its version
    made_by: str


class ExportFirst(TypedDict):
    """The first line of `log export --jsonl`. Records follow, byte for byte: record.schema.json."""

    export: ExportHeading


class RecordsEnd(TypedDict):
    """What an export of records has, and what it lacks."""

    records: int
    # the numbers of the first and the last one, and the hash of the last
    first: int | None
    last: int | None
    head: Digest | None
    left_out: list[str]
    # of the whole journal
    verdict: NotRequired[Verdict]


class ExportLast(TypedDict):
    """The last line of `log export --jsonl`. Without it, the file is cut."""

    export_end: RecordsEnd


class CapEnd(TypedDict):
    """What an export of messages has, and what it lacks."""

    messages: int
    # the last record that was read, and its hash
    last: int
    head: str
    verdict: Verdict
    left_out: list[str]


class CapFile(TypedDict):
    """The file of one message."""

    file: str
    reference: str
    sha256: Digest


class CapManifest(TypedDict):
    """`export.json` in the folder of `log export --cap`."""

    export: ExportHeading
    export_end: CapEnd
    files: list[CapFile]
