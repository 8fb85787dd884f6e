"""The metric families of a process, each with its type, its labels and what it says. docs/operations.md lists them.

Prefix `deconflict_`, base units, `_total` for counters, and instants instead of ages. A counter begins at 0 with the
process, unless its help says that the journal holds it. An instant that is not known is 0.
"""

from __future__ import annotations

from typing import Literal, get_args

from msgspec import Struct

from endpoints.control.reasons import LinkState
from protocol.core.alarms import SEVERITY
from protocol.core.event_fields import CertificateOwner
from protocol.core.watch_state import SlotState
from protocol.wire import refusals
from protocol.wire.messages import Precedence
from protocol.wire.refusals import FrameRefusal

Label = Literal["link", "direction", "code", "severity", "reason", "result", "kind", "precedence"]
"""All labels that exist. Their values are ids of our own settings, or come from closed lists: no text of the peer."""
PREFIX = "deconflict_"
OTHER = "other"
"""What is not in the list of this version: a reason, or a kind of message that a peer has invented."""
SIDE_DIRECTIONS = ("sent", "received")
"""The directions at an endpoint."""
WATCH_DIRECTIONS = ("caller", "answering")
"""The directions at the watch: by the party that has sent."""
STATES: tuple[str, ...] = get_args(LinkState)
PRECEDENCES: tuple[str, ...] = get_args(Precedence)
CODES: tuple[tuple[str, str], ...] = tuple((code.value, severity) for code, severity in SEVERITY.items())
"""Each alarm code with its severity."""
SLOT_RESULTS: tuple[str, ...] = tuple(state.value for state in SlotState)
MESSAGES: tuple[tuple[str, str], ...] = (
    *(("alert", precedence) for precedence in PRECEDENCES),
    *((kind, "") for kind in ("heartbeat", "heartbeat_answer", "acknowledgement", "refusal", OTHER)),
)
"""The kinds of messages, with their precedence; only alerts have one."""
REFUSALS: tuple[str, ...] = (
    *(reason.value for reason in FrameRefusal),
    *(refusals.REPEATED, refusals.OUTDATED, refusals.STALE_RECEIPT, refusals.ALTERED, refusals.OVERLOAD),
    OTHER,
)
CERTIFICATES: tuple[str, ...] = get_args(CertificateOwner)
DELIVERIES = ("delivered", "failed")
DROPPED = ("request", "unread", "crowded")
"""Why a client of the listener was dropped: no request in time, an answer left unread, too many clients."""
FLUSH_BUCKETS_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
RECEIPT_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


class Family(Struct, frozen=True):
    """One metric family.

    Attributes:
        name: its full name; that of a counter ends with `_total`.
        type: as Prometheus has them.
        help: what it says, in one line.
        labels: the names of its labels, in the order in which samples give their values.
        buckets: of a histogram, their upper bounds.
    """

    name: str
    type: Literal["gauge", "counter", "histogram"]
    help: str
    labels: tuple[Label, ...] = ("link",)
    buckets: tuple[float, ...] = ()


def _gauge(name: str, text: str, *labels: Label) -> Family:
    return Family(f"{PREFIX}{name}", "gauge", text, ("link", *labels))


def _counter(name: str, text: str, *labels: Label) -> Family:
    return Family(f"{PREFIX}{name}", "counter", text, ("link", *labels))


def _histogram(name: str, text: str, buckets: tuple[float, ...]) -> Family:
    return Family(f"{PREFIX}{name}", "histogram", text, ("link",), buckets)


LINK_INFO = _gauge("link_info", "Always 1; `kind` is what the link is for: actual, exercise or test", "kind")
LINK_RUNNING = _gauge("link_running", "1 while the link runs, 0 while it is stopped (alarm journal_failure)")
LINK_STATE = _gauge(
    "link_state", "1 for the present state of the link, as `status` says it, 0 for the others", "result"
)
BROKER_CONNECTED = _gauge("broker_connected", "1 while the broker has accepted the session of this link")
PEER_PRESENT = _gauge("peer_present", "1 while the broker reports the party present: a hint, not evidence", "direction")
LAST_SIGNED = _gauge(
    "last_signed_timestamp_seconds", "When a signed frame of the party last brought something new", "direction"
)
SLOTS = _gauge("slots", "The newest slots that the journal's state keeps (64 past ones), by their result", "result")
LAST_MET_SLOT = _gauge("last_met_slot_timestamp_seconds", "The newest slot whose line test came in time")
NEXT_SLOT = _gauge("next_slot_timestamp_seconds", "The next slot")
LAST_ANSWERED_TEST = _gauge("last_answered_test_timestamp_seconds", "When the newest answer to a line test came")
OUTBOX_MESSAGES = _gauge("outbox_messages", "Messages of this side that the peer has not receipted")
OUTBOX_OLDEST = _gauge("outbox_oldest_timestamp_seconds", "Since when the oldest of them has waited; 0 without any")
STREAM_STOPPED = _gauge("stream_stopped", "1 if the stream was stopped for good (equivocation, fork)", "direction")
OPEN_ALERTS = _gauge("open_alerts", "Alerts that no officer has acknowledged or refused", "direction", "precedence")
DRAFTS = _gauge("drafts_waiting", "Drafts that wait for a second officer", "precedence")
ALARMS_ACTIVE = _gauge("alarms_active", "Alarms whose cause still exists", "code", "severity")
ALARMS_UNACKNOWLEDGED = _gauge("alarms_unacknowledged", "Alarms that no officer has acknowledged", "code", "severity")
ON_WATCH = _gauge("officer_on_watch", "1 while an officer of this side has the watch; always 0 at the watch")
NOTIFICATIONS_PENDING = _gauge("notifications_pending", "Notifications that are not done yet")
NOTIFICATIONS_GIVEN_UP = _counter(
    "notifications_given_up_total", "Notifications dropped because too many waited; the journal holds this counter"
)
NOTIFICATIONS = _counter("notifications_total", "Notifications that have reached every receiver, or failed", "result")
MESSAGES_TOTAL = _counter(
    "messages_total",
    "Messages sent and applied; only alerts have a precedence",
    *("direction", "kind", "precedence"),
)
FRAMES_REFUSED = _counter(
    "frames_refused_total", "Frames that were refused, or had no effect and were only counted", "reason"
)
CREDENTIALS_REFUSED = _counter("credentials_refused_total", "Attempts to act with a wrong credential of an officer")
RECEIPT_SECONDS = _histogram(
    "receipt_seconds", "From accepting a message of this side to the peer's receipt for it", RECEIPT_BUCKETS_S
)
FLUSH_SECONDS = _histogram("flush_seconds", "Writing and flushing one batch to the journal", FLUSH_BUCKETS_S)
JOURNAL_BYTES = _gauge("journal_bytes", "Bytes of the journal's records; zeros written ahead are not counted")
JOURNAL_FREE_BYTES = _gauge("journal_free_bytes", "Bytes left for the journal on its file system; NaN until checked")
FLUSHED = _gauge("journal_flushed_timestamp_seconds", "When the last batch was flushed; 0 before the first")
CLOCK_SKEW = _gauge(
    "clock_skew_seconds",
    "Time in the newest signed message less our clock at its arrival; a delay makes it smaller, 0 before the first",
    "direction",
)

OF_A_LINK: tuple[Family, ...] = (
    *(LINK_INFO, LINK_RUNNING, LINK_STATE, BROKER_CONNECTED, PEER_PRESENT, LAST_SIGNED),
    *(SLOTS, LAST_MET_SLOT, NEXT_SLOT, LAST_ANSWERED_TEST),
    *(OUTBOX_MESSAGES, OUTBOX_OLDEST, STREAM_STOPPED, OPEN_ALERTS, DRAFTS),
    *(ALARMS_ACTIVE, ALARMS_UNACKNOWLEDGED, ON_WATCH),
    *(NOTIFICATIONS_PENDING, NOTIFICATIONS_GIVEN_UP, NOTIFICATIONS),
    *(MESSAGES_TOTAL, FRAMES_REFUSED, CREDENTIALS_REFUSED, RECEIPT_SECONDS, FLUSH_SECONDS),
    *(JOURNAL_BYTES, JOURNAL_FREE_BYTES, FLUSHED, CLOCK_SKEW),
)
"""The families with samples of each link."""

BUILD_INFO = Family(f"{PREFIX}build_info", "gauge", "Always 1; `kind` is the version of the program", ("kind",))
PROCESS_INFO = Family(f"{PREFIX}process_info", "gauge", "Always 1; `kind` is endpoint or watch", ("kind",))
READY = Family(f"{PREFIX}ready", "gauge", "1 while /readyz answers 200", ())
LOOP_TURN = Family(f"{PREFIX}loop_turn_timestamp_seconds", "gauge", "When the loop took its last turn", ())
LOOP_TURNS = Family(f"{PREFIX}loop_turns_total", "counter", "Turns of the loop", ())
QUEUE_ITEMS = Family(f"{PREFIX}queue_items", "gauge", "Items that wait for the loop's next turn", ())
CERTIFICATE_END = Family(
    f"{PREFIX}certificate_end_timestamp_seconds",
    "gauge",
    "When a certificate that the connection depends on ends; 0 while it is not known",
    ("kind",),
)
CLIENTS_DROPPED = Family(
    f"{PREFIX}health_clients_dropped_total", "counter", "Clients of this listener that were dropped", ("reason",)
)
CONSOLE_SESSIONS = Family(f"{PREFIX}console_sessions", "gauge", "Browsers that show this process in a console", ())
CONSOLE_SCREENS = Family(f"{PREFIX}console_screens", "gauge", "Screens of consoles that show this process", ())
CONSOLE_ARMED = Family(f"{PREFIX}console_armed", "gauge", "Screens of consoles that have their sound on", ())
READING_SECONDS = Family(
    f"{PREFIX}metrics_reading_seconds", "gauge", "Time of the process that the last reading of these metrics took", ()
)

OF_THE_PROCESS: tuple[Family, ...] = (
    *(BUILD_INFO, PROCESS_INFO, READY, LOOP_TURN, LOOP_TURNS, QUEUE_ITEMS),
    *(CERTIFICATE_END, CLIENTS_DROPPED, READING_SECONDS),
    *(CONSOLE_SESSIONS, CONSOLE_SCREENS, CONSOLE_ARMED),
)
"""The families with samples of the process as a whole."""

FAMILIES = (*OF_THE_PROCESS, *OF_A_LINK)
OF_THE_SYSTEM = (
    *("process_cpu_seconds_total", "process_resident_memory_bytes", "process_virtual_memory_bytes"),
    *("process_open_fds", "process_max_fds", "process_start_time_seconds"),
)
"""What prometheus-client reads about the process from the system, after the prefix."""
