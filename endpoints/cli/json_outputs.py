"""The documents that commands print with `--json`: docs/contracts/output/ is made from these types.

Fields are added, never renamed or removed. No command imports this module, which would cost start-up time; the tests
compare what commands print with it.
"""

from __future__ import annotations

from typing import Any, TypedDict

from endpoints.cli.json_of_archives import (
    ArchiveOutput,
    CapManifest,
    ExportFirst,
    ExportLast,
    ExportOutput,
    RestoreOutput,
)
from endpoints.cli.json_of_credentials import (
    AuthorityMade,
    BrokerEnrolled,
    CertificateChanged,
    CertificateSigned,
    KeyAdded,
    KeyRetired,
    KeyRevoked,
    RequestMade,
)
from endpoints.cli.json_of_files import (
    CertShowOutput,
    FingerprintOutput,
    InitOutput,
    KeyShowOutput,
    LinkShowOutput,
    OfficerCredential,
    OfficerListOutput,
    SideOutput,
    WatchOutput,
)
from endpoints.cli.json_of_journals import (
    MessageRow,
    MessagesOutput,
    ReconcileOutput,
    ReplayOutput,
    ShowDraftOutput,
    ShowOutput,
    VerifyOutput,
)
from endpoints.cli.json_of_links import (
    ActDone,
    AlarmDone,
    AlarmsOutput,
    ChannelsOutput,
    DoctorOutput,
    DraftsOutput,
    NotifyTestOutput,
    OpenOutput,
    ScheduleOutput,
    StatusOutput,
)
from endpoints.cli.json_of_timelines import TimelineOutput
from endpoints.control.delivery_progress import Ladder
from endpoints.runtime.reloading import Reloaded
from protocol.wire.messages import Identifier


class CheckedJournal(TypedDict):
    """One journal of a scenario that was played."""

    journal: str
    link: Identifier
    records: int
    signatures: int
    intact: bool
    problems: list[str]
    identical: bool
    divergence: str | None


class Expectation(TypedDict):
    """One expectation of a scenario, and what was found."""

    # its key in `expect`
    what: str
    # the side, the day or the alarm, where a key has several
    about: str
    link: Identifier
    expected: Any
    found: Any
    met: bool


class DemoOutput(TypedDict):
    """`demo --json`."""

    scenario: Identifier
    # every journal is sound, the sides agree, and every expectation is met
    passed: bool
    journals: list[CheckedJournal]
    agree: bool
    messages: int
    expect: list[Expectation]
    seconds: float
    # with `--keep`
    folder: str | None


class ScenarioFault(TypedDict):
    """Something wrong in a scenario file."""

    # its number, from 0; null outside the steps
    step: int | None
    action: str | None
    # the keys and places that lead to it, within the step
    key: str
    what: str


class DemoCheckOutput(TypedDict):
    """`demo --check --json`."""

    file: str
    ok: bool
    scenario: Identifier | None
    steps: int | None
    # with their repetitions
    played: int | None
    faults: list[ScenarioFault]
    # further ones, which are not listed
    more: int


OUTPUTS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "status": (StatusOutput, ("status",)),
    "alarms": (AlarmsOutput, ("alarms list",)),
    "alarm-done": (AlarmDone, ("alarms acknowledge",)),
    "act": (
        ActDone,
        ("alert", "release", "discard", "answer", "acknowledge", "refuse", "cancel", "test", "duty take", "duty leave"),
    ),
    "delivery": (Ladder, ("alert", "release", "test")),
    "open": (OpenOutput, ("messages",)),
    "messages": (MessagesOutput, ("messages",)),
    "message": (MessageRow, ("messages",)),
    "show": (ShowOutput, ("show",)),
    "show-draft": (ShowDraftOutput, ("show",)),
    "drafts": (DraftsOutput, ("drafts",)),
    "schedule": (ScheduleOutput, ("schedule",)),
    "channels": (ChannelsOutput, ("channels",)),
    "doctor": (DoctorOutput, ("doctor",)),
    "notify-test": (NotifyTestOutput, ("notify test",)),
    "log-verify": (VerifyOutput, ("log verify",)),
    "replay": (ReplayOutput, ("replay",)),
    "reconcile": (ReconcileOutput, ("reconcile",)),
    "timeline": (TimelineOutput, ("timeline",)),
    "log-archive": (ArchiveOutput, ("log archive",)),
    "log-restore": (RestoreOutput, ("log restore",)),
    "log-export": (ExportOutput, ("log export",)),
    "export-first": (ExportFirst, ("log export",)),
    "export-last": (ExportLast, ("log export",)),
    "export-cap": (CapManifest, ("log export",)),
    "reload": (Reloaded, ("reload",)),
    "init": (InitOutput, ("init",)),
    "enrol": (SideOutput, ("enrol",)),
    "enrol-watch": (WatchOutput, ("enrol",)),
    "link-show": (LinkShowOutput, ("link show",)),
    "link-fingerprint": (FingerprintOutput, ("link fingerprint",)),
    "key-show": (KeyShowOutput, ("key show",)),
    "officer-list": (OfficerListOutput, ("officer list",)),
    "officer-credential": (OfficerCredential, ("officer add", "officer reset")),
    "cert-show": (CertShowOutput, ("cert show",)),
    "key-added": (KeyAdded, ("key add",)),
    "key-retired": (KeyRetired, ("key retire",)),
    "key-revoked": (KeyRevoked, ("key revoke",)),
    "cert-authority": (AuthorityMade, ("cert authority",)),
    "cert-request": (RequestMade, ("cert request",)),
    "cert-signed": (CertificateSigned, ("cert sign",)),
    "cert-changed": (CertificateChanged, ("cert renew", "cert trust")),
    "enrol-broker": (BrokerEnrolled, ("enrol",)),
    "demo": (DemoOutput, ("demo",)),
    "demo-check": (DemoCheckOutput, ("demo",)),
}
"""The documents, by the name of their contract, and the commands that print them."""
