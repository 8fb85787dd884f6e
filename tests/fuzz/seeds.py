"""Generates the seeds of the corpus and the state that targets start from: `python -m tests.fuzz.seeds`.

Inputs that a fuzzer added to the corpus are kept.
"""

import gzip
import json
import shutil
import tempfile
from io import BytesIO
from pathlib import Path
from typing import Any

from endpoints.config import default_terms, link_file, side_file
from endpoints.journal.archived_segment import pack
from endpoints.journal.segments import segments
from protocol.core.events import LineTestRequested
from protocol.record.journal import decode
from protocol.wire.instants import written
from scenario.files import packaged
from tests.fuzz.ends import FIRST, STATE
from tests.support.exchange import link_file as linked
from tests.support.journal_samples import batch, checkpoint, closed, fields_of, lines_of
from tests.support.recorded import SIDES, record, started
from tests.support.world import MINUTE, SECOND

CORPUS = Path(__file__).parent / "corpus"
VECTORS = Path(__file__).parents[1] / "vectors"
CONFIGURATION = """\
side = "eucom"
keys = "keys"
control = "control.sock"
language = "ru"
exercise_clock = "table.json"

[[links]]
file = "link.toml"
journal = "journal/eucom-ndmc"

[broker]
host = "localhost"
port = 8883
authority = "ca.crt"
certificate = "client.crt"
key = "client.key"

[notifications]
command = ["/bin/true"]
webhook = "https://example.org/hook"

[officers.watch-1]
name = "Watch"
credential = "scrypt$16384$8$1$AAAAAAAAAAAAAAAAAAAAAA==$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
"""
PROOF = {"request": "request-00000001", "officer": "watch-1", "credential": "abcd-efgh"}
ASKED: dict[str, dict[str, Any]] = {
    "alert": {
        "category": "air_pursuit",
        "precedence": "flash",
        "text": {"ru": "Преследование.", "en": "Pursuit."},
        "expires_in_s": 3_600,
        "event_at": "2022-11-29T09:00:00.000Z",
        "area": {"name": "51 N", "latitude_udeg": 51_000_000, "longitude_udeg": 31_000_000, "radius_m": 500},
        "references": ["ndmc/1/1", "eucom/1/1"],
        "changes": "eucom/1/1",
        "change_kind": "update",
        "cancellation": {"ru": "Отбой.", "en": "Over."},
    },
    "release": {"draft": 1},
    "answer": {"of": "ndmc/1/3", "words": ["лодка", "окно", "ручей"], "text": "Слышу."},
    "acknowledge": {"of": "ndmc/1/1", "decision": "will_reply", "text": {"en": "Soon."}},
    "refuse": {"of": "ndmc/1/1", "reason": "out_of_scope", "referral": "ministers"},
    "cancel": {"of": "eucom/1/1"},
    "test": {},
    "acknowledge-alarm": {"code": "bad_frames", "subject": "ndmc"},
}


def main() -> None:
    """Regenerate the state and all seeds."""
    folder = Path(tempfile.mkdtemp())
    _state(folder / "state")
    record(folder / "journals", hours=1, segment_bytes=4_000)
    lines = b"".join(path.read_bytes().rstrip(b"\0") for path in segments(folder / "journals" / "eucom"))
    shutil.rmtree(folder)
    _journals(lines.splitlines(keepends=True))
    _wire()
    _files()
    for name, ask in ASKED.items():
        body = json.dumps(PROOF | ask, ensure_ascii=False, separators=(",", ":")).encode()
        _seed("control", name, name.encode() + b"\n" + body)


def _seed(target: str, name: str, data: bytes) -> None:
    (CORPUS / target).mkdir(parents=True, exist_ok=True)
    (CORPUS / target / name).write_bytes(data)


def _state(folder: Path) -> None:
    """Write the state of an end with alerts and line tests of both sides, a held draft and unreceipted messages."""
    exchange = started(folder, 1 << 20)
    exchange.alert("eucom")
    exchange.alert("ndmc")
    exchange.alert("ndmc", "priority")
    exchange.run(MINUTE)
    exchange.ask("ndmc", LineTestRequested, nonce="0102030405060708")
    exchange.run(40 * MINUTE)
    exchange.forge("eucom", b"{}")
    exchange.alert("eucom", "flash")
    exchange.run(MINUTE)
    exchange.alert("eucom", "priority")
    exchange.run(30 * SECOND, lost_from=SIDES)
    end = exchange.ends["eucom"]
    STATE.write_text(json.dumps(fields_of(end.core), ensure_ascii=False, indent=1) + "\n", "utf-8")
    for each in exchange.ends.values():
        each.crash()


def _journals(lines: list[bytes]) -> None:
    kinds: dict[str, bytes] = {}
    for line in lines:
        kinds.setdefault(type(decode(line[:-1]).entry).__name__, line[:-1])
    for name, line in kinds.items():
        _seed("journal_line", name, line)
    _seed("collected_log", "prefixed", b"".join(b"\x1b[2Keucom-1  | " + line for line in lines[:8]))
    _seed("collected_log", "repeated", b"".join([*lines[:4], b"starting\n", *lines[2:7], lines[7][:40]]))
    _seed("rewritten_journal", "beginning", b"".join(lines[:12]))
    opens = next(number for number, line in enumerate(lines) if b'"event":"Checkpoint"' in line)
    _seed("rewritten_journal", "checkpoint", b"".join(lines[opens : opens + 6]))
    whole = b"".join(lines_of([checkpoint(0), batch(1), batch(2), batch(3)], n=FIRST))
    archived = BytesIO()
    pack([whole], archived)
    _seed("archived_segment", "whole", archived.getvalue())
    _seed("archived_segment", "by-hand", gzip.compress(whole, mtime=0))
    _seed("archived_segment", "later", archived.getvalue().replace(b"DL\1\0\1", b"DL\1\0\2"))
    _seed("archived_segment", "bomb", gzip.compress(bytes(1 << 22), mtime=0))
    _seed("journal_segment", "zeros", whole + bytes(700))
    _seed("journal_segment", "torn", whole + lines_of([batch(4)], n=FIRST + 8)[0][:100] + bytes(50))
    hole = bytearray(b"".join(lines_of([checkpoint(0), batch(1), batch(2), batch(4), batch(7)], n=FIRST)))
    hole[2_048:2_560] = bytes(512)
    _seed("journal_segment", "hole", bytes(hole))
    _seed("journal_segment", "closed", b"".join(lines_of([checkpoint(0), closed(1)], n=FIRST)))


def _wire() -> None:
    for name in ("message", "receipt", "presence"):
        _seed("topic", name, f"deconfliction/v1/eucom-ndmc/eucom/{name}".encode())
    _seed("presence", "words", b"present\ngone\npresent\n\nelse\n")
    frames = json.loads((VECTORS / "frames.json").read_bytes())
    for index, vector in enumerate([*frames["valid"], *frames["refused"]]):
        if len(vector.get("text", "")) in range(1, 3_000):
            _seed("frame", f"vector-{index:02d}", vector["text"].encode())
    for index, vector in enumerate(frames["valid"][:4]):
        _seed("payload", f"vector-{index:02d}", vector["payload"].encode())
        _seed("canonical", f"vector-{index:02d}", vector["payload"].encode())
    bodies = json.loads((VECTORS / "bodies.json").read_bytes())["valid"]
    for index, vector in enumerate(bodies):
        line = json.dumps({"messages": [{"body": vector["body"]}]}, ensure_ascii=False).encode()
        _seed("peer", f"body-{index:02d}", line)
    head = "0" * 64
    at = written(1_669_712_400_000)
    _seed("peer", "receipt", json.dumps({"upto": 2, "head": head, "at": at}).encode())
    gap = {
        "messages": [{"seq": 9, "prev": head, "body": {"type": "other"}}],
        "receipt": {"upto": 1, "head": head, "at": at},
    }
    _seed("peer", "gap", json.dumps(gap).encode() + b"\n" + json.dumps({"messages": [{"body": {}}]}).encode())


def _files() -> None:
    content = linked(default_terms.terms())
    _seed("link_file", "link.toml", link_file.dump(content))
    _seed("side_file", "side.toml", side_file.dump("eucom", content.parties["eucom"]))
    _seed("configuration", "endpoint.toml", CONFIGURATION.encode())
    watch = CONFIGURATION.partition("[officers")[0].replace('side = "eucom"\nkeys = "keys"\n', 'identity = "watch"\n')
    _seed("configuration", "watch.toml", f'{watch}\n[dead_man]\nurl = "https://example.org/"\nevery = "1m"\n'.encode())
    _seed("scenario", "one-day.json", packaged("one-day").read_bytes())
    _seed("exercise_table", "table.json", b"[[1000,1669716000000,1],[2000,1669716001000,100],[3000,1669716101000,0]]")
    _seed("exercise_table", "one.json", b"[[0,0,2000]]")


if __name__ == "__main__":
    main()
