"""`deconflict broker`: runs Mosquitto in the foreground, makes its files anew from link files, or prints them."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from threading import Lock, Thread
from typing import IO, TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from endpoints.cli import options
from endpoints.cli.consent import Yes
from endpoints.cli.run import for_people
from endpoints.cli.values import check_port, identifier
from endpoints.config.host_name import check_host
from endpoints.config.settings_tables import WATCH_IDENTITY
from endpoints.errors import UserError
from protocol.phrases import phrase, worded

if TYPE_CHECKING:
    from endpoints.clocks.clock import Clock
    from endpoints.journal.stdout_feed import Wording

_SIDE = "broker"
_LINE_MAX = 4_096

InstallationFolder = Annotated[Path, Parameter(help="The folder with the broker's folder, `broker`.", negative="")]
Configure = Annotated[
    list[Path] | None,
    Parameter(
        consume_multiple=True,
        negative="",
        help="Make the broker's files anew from the link files of all its links, and do not run it.",
    ),
]
Print = Annotated[
    Literal["acl", "conf", "rabbitmq", "rabbitmq.conf"] | None,
    Parameter(
        name="--print",
        help="Print the access list, Mosquitto's configuration, RabbitMQ's definitions, or the configuration of its "
        "nodes, and write nothing.",
    ),
]
Nodes = Annotated[
    list[str] | None,
    Parameter(
        name="--node",
        negative="",
        help="With --print rabbitmq.conf: the host name of a node; repeat it. r1, r2 and r3 if not given.",
    ),
]
Listen = Annotated[
    str | None,
    Parameter(
        help="With --configure: the address that the broker listens at, as before if not given. "
        "With --print rabbitmq.conf: a node's, 0.0.0.0 if not given."
    ),
]
Port = Annotated[
    int | None,
    Parameter(
        name="--port",
        help="With --configure: its port, as before if not given. "
        "With --print rabbitmq.conf: a node's, 8883 if not given.",
    ),
]
Serve = Annotated[
    str | None,
    Parameter(
        name="--serve",
        help="With --configure: the one side that this broker serves. The other sides of its links have brokers of "
        "their own, which are bridged to this one. As before if not given; all sides at first.",
    ),
]
BridgeTo = Annotated[
    list[str] | None,
    Parameter(
        name="--bridge-to",
        negative="",
        help="With --serve: SIDE=HOST:PORT, the broker of another side that this one connects to; repeat it. The "
        "brokers of sides that are not named connect to this one.",
    ),
]
NoBridges = Annotated[
    bool, Parameter(name="--no-bridges", negative="", help="With --configure: serve all sides again.")
]
Watch = Annotated[
    str | None,
    Parameter(
        name="--watch",
        help="With --configure: the watch's identity at the broker, watch if not given.",
    ),
]


def broker(
    folder: InstallationFolder,
    /,
    *,
    configure: Configure = None,
    printed: Print = None,
    listen: Listen = None,
    port: Port = None,
    watch: Watch = None,
    node: Nodes = None,
    serve: Serve = None,
    bridge_to: BridgeTo = None,
    no_bridges: NoBridges = False,
    yes: Yes = False,
    log: options.LogFormat = None,
    lang: options.Lang = None,
    as_json: options.AsJson = False,
) -> int:
    """Run Mosquitto until SIGTERM or Ctrl-C, and restart it when it dies; or make its files anew from link files.

    Files are written whole, after what changes for whom was shown. The address and the port stay.
    """
    from endpoints.cli import broker_bridges, broker_files
    from endpoints.texts.i18n import translator

    if node and printed != "rabbitmq.conf":
        raise UserError(phrase("--node: only with --print rabbitmq.conf"))
    if listen is not None:
        check_host(listen, at="--listen")
    if port is not None:
        check_port(port, option="port")
    bridges = (("--serve", serve), ("--bridge-to", bridge_to), ("--no-bridges", no_bridges))
    if printed == "rabbitmq.conf":
        for option, refused in (
            ("--configure", configure),
            ("--watch", watch),
            ("--yes", yes),
            ("--json", as_json),
            *bridges,
        ):
            if refused:
                raise UserError(phrase("{option}: not with --print rabbitmq.conf", option=option))
        broker_files.print_node_configuration(folder / "broker", node, listen, port)
        return 0
    if configure is None:
        for option, given in (
            ("--listen", listen),
            ("--port", port),
            ("--watch", watch),
            ("--yes", yes),
            ("--json", as_json),
            *bridges,
        ):
            if given:
                raise UserError(phrase("{option}: only with --configure LINK_FILE...", option=option))
        if printed is None:
            _run(folder, log, lang)
        else:
            broker_files.print_file(folder / "broker", printed, None)
        return 0
    if not configure:
        raise UserError(phrase("--configure: name the link files of all links of this broker"))
    watch = identifier(watch or WATCH_IDENTITY, option="watch")
    asked = broker_bridges.asked(serve, bridge_to, none=no_bridges)
    made = broker_files.plan(folder / "broker", configure, watch, listen, port, asked)
    if printed is not None:
        broker_files.print_file(folder / "broker", printed, made)
        return 0
    return broker_files.configure(folder / "broker", made, translator(lang), yes=yes, as_json=as_json)


def _run(folder: Path, log: Literal["json", "text"] | None, lang: Literal["en", "ru"] | None) -> None:
    from broker import foreground
    from broker.errors import BrokerError
    from endpoints.cli.terminal_log import TerminalLog
    from endpoints.clocks.clock import SystemClock
    from endpoints.texts.i18n import translator

    clock = SystemClock()
    lines = _BrokerLog(clock, TerminalLog(translator(lang), _SIDE, {}) if for_people(log) else None)
    ours, theirs = os.pipe()
    reader = Thread(target=lines.copy, args=(os.fdopen(ours, "rb"),), daemon=True)
    reader.start()
    try:
        foreground.run(folder / "broker", clock.real_ms, lines.note, theirs)
    except BrokerError as error:
        raise UserError(worded(error)) from None
    finally:
        os.close(theirs)
        reader.join()


class _BrokerLog:
    """Prints what happens to the broker, and Mosquitto's own log, with the time: JSON or lines for people."""

    def __init__(self, clock: Clock, wording: Wording | None) -> None:
        self._clock = clock
        self._wording = wording
        self._lock = Lock()

    def note(self, event: str, /, **fields: str | int) -> None:
        """Print one event."""
        import msgspec

        from protocol.wire.instants import written

        with self._lock:
            line = {"at": written(self._clock.now()[0]), "level": "info", "side": _SIDE, "event": event, **fields}
            data = msgspec.json.encode(line)
            sys.stdout.buffer.write(data + b"\n" if self._wording is None else self._wording.line(data))
            sys.stdout.flush()

    def copy(self, mosquitto: IO[bytes]) -> None:
        """Print the log that Mosquitto writes, without its time. Its lines may hold names that clients chose."""
        with mosquitto:
            while line := mosquitto.readline(_LINE_MAX):
                try:
                    self.note("mosquitto", text=line.decode(errors="replace").strip().partition(": ")[2])
                except OSError:
                    # nobody reads any more: take the rest all the same, so that Mosquitto is not held up
                    continue
