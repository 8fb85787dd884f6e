"""Runs the soak: kills broker and endpoints repeatedly under a stream of alerts, then verifies every journal.

    python -m tests.soak.run MINUTES [--seed N] [--alerts-per-s N] [--report FOLDER] [--folder FOLDER]

Faults occur during the first four fifths of MINUTES. In the last fifth, the calm, only the stream continues, and the
memory and descriptors of the processes must not grow. Then the stream ends, messages in flight must arrive, and all
processes are stopped. Both journals and both collected logs are verified, replayed and reconciled. The exit code is 1
if any guarantee was violated.
"""

import argparse
import asyncio
import random
import secrets
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from endpoints.control.client import ControlClient, RequestRefused, Unreachable
from endpoints.journal.reader import JournalReader
from tests.soak.curves import draw
from tests.soak.gauge import Gauge
from tests.soak.installation import LINK, SIDES, Installation
from tests.soak.traffic import Traffic
from tests.soak.trouble import Trouble
from tests.support.journal_verdict import Verdict

CALM_SHARE = 0.2
CONVERGED_WITHIN_S = 240.0
"""Time for all messages to arrive after the faults: reconnecting pauses up to 30 s, resending up to 60 s, and 3,000
alerts may be waiting."""
SAY_EVERY_S = 30.0
BROKEN_SHOWN = 40


class Soak:
    """One run of the soak and its verdict."""

    def __init__(self, folder: Path, minutes: float, seed: int, alerts_per_s: float) -> None:
        rng = random.Random(seed)
        self.seed = seed
        self.seconds = minutes * 60
        self.installation = Installation(folder)
        self.traffic = Traffic(self.installation.endpoints, random.Random(rng.getrandbits(64)), alerts_per_s)
        self.trouble = Trouble(self.installation, self.traffic, random.Random(rng.getrandbits(64)))
        self.gauge = Gauge(self.installation, lambda: 2 * self.traffic.acknowledged)
        self.broken: list[str] = []
        self.converged_s = 0.0
        self.calm_s = 0.0
        self.end_s = 0.0

    async def run(self) -> None:
        """Run the processes, the stream and the faults; add violated guarantees to `broken`."""
        clock = asyncio.get_running_loop()
        async with self.installation:
            self.installation.start()
            began_s = clock.time()
            gauging = asyncio.create_task(self.gauge.run())
            saying = asyncio.create_task(self._say())
            stream = asyncio.create_task(self.traffic.run())
            await self.trouble.run(self.seconds * (1 - CALM_SHARE))
            self.installation.heal()
            self.calm_s = clock.time() - began_s
            say("calm: the stream alone")
            await asyncio.sleep(self.seconds * CALM_SHARE)
            self.end_s = clock.time() - began_s
            self.traffic.finish()
            try:
                async with asyncio.timeout(CONVERGED_WITHIN_S):
                    await stream
                    await self._settled()
            except TimeoutError:
                self.broken.append(
                    f"no convergence within {CONVERGED_WITHIN_S:.0f} s: {self.traffic.outstanding} alerts outstanding"
                )
            self.converged_s = clock.time() - began_s - self.end_s
            for task in (gauging, saying, stream):
                task.cancel()
            await asyncio.gather(gauging, saying, stream, return_exceptions=True)
            for side, endpoint in self.installation.endpoints.items():
                code = endpoint.stop()
                if code:
                    self.broken.append(f"{side}: the last stop ended with {code}: {endpoint.last_errors()}")
            self.installation.broker.stop()
        self.broken += [*self.trouble.broken, *self.traffic.broken]

    async def _settled(self) -> None:
        """Wait until the outboxes of both sides are empty."""
        for endpoint in self.installation.endpoints.values():
            client = ControlClient(endpoint.control, LINK)
            while True:
                try:
                    status = await asyncio.to_thread(client.get, "status")
                    if status["outbox"] == {"waiting": 0, "in_flight": 0}:
                        break
                except (Unreachable, RequestRefused):
                    pass
                await asyncio.sleep(0.2)

    async def _say(self) -> None:
        began_s = time.monotonic()
        while True:
            await asyncio.sleep(SAY_EVERY_S)
            say(
                f"{(time.monotonic() - began_s) / 60:.1f} min: {self.trouble.kills} kills, "
                f"{sum(map(len, self.traffic.answered.values()))} alerts answered, "
                f"{self.traffic.acknowledged} acknowledged, {self.traffic.outstanding} outstanding, "
                f"{self.traffic.retried} requests tried again"
            )

    def judge(self) -> str:
        """Verify journals and collected logs, add violated guarantees to `broken`, and return the line of totals."""
        endpoints = self.installation.endpoints
        began_s = time.monotonic()
        verdict = Verdict.of(*(endpoints[side].journal for side in SIDES))
        self.broken += verdict.broken
        lost = len(verdict.lost)
        for side in SIDES:
            for alert in self.traffic.answered[side]:
                failures = [*verdict.kept(alert.reference, alert.text)]
                lost += bool(failures)
                self.broken += failures
        for each in verdict.sides:
            self.broken += self._collected(each.side, each.records)
        lines, grown = self.gauge.growth(self.calm_s, self.end_s)
        self.broken += grown
        kinds = Counter(way.kind for way in verdict.ways.values())
        say(
            f"read in {time.monotonic() - began_s:.0f} s: "
            + ", ".join(
                f"{each.side} {each.records} records, {each.signatures} signatures, {each.events['Started']} starts"
                for each in verdict.sides
            )
        )
        for line in lines:
            say(f"calm: {line}")
        for (what, target), count in sorted(self.trouble.counts.items()):
            say(f"{what}: {target}: {count}")
        say(f"requests: {self.traffic.retried} tried again, {self.traffic.repeated} repeated although answered")
        intact = not any(each.broken for each in verdict.sides)
        identical = all(each.replay.identical for each in verdict.sides)
        return (
            f"soak: seed {self.seed}, {self.end_s / 60:.1f} min: {len(verdict.ways)} messages "
            f"({', '.join(f'{count} {kind}' for kind, count in sorted(kinds.items()))}), {self.trouble.kills} kills, "
            f"{self._count('broker wiped')} wipes, converged in {self.converged_s:.0f} s: {lost} lost, "
            f"{len(verdict.doubled)} applied twice, {len(verdict.out_of_order)} out of order, "
            f"{'intact' if intact else 'DAMAGED'}, {'identical' if identical else 'DIVERGED'}, "
            f"{len(self.broken)} broken promises"
        )

    def _collected(self, side: str, records: int) -> list[str]:
        """Return what is wrong with a side's collected output, which must contain its whole journal."""
        with self.installation.endpoints[side].collected.open("rb") as stream:
            reader = JournalReader("-", stdin=stream)
            for _ in reader.records():
                pass
        found = reader.verification
        broken = [f"{side}'s collected log: record {each.record}: {each.reason}" for each in found.problems[:5]]
        if found.records != records:
            broken.append(f"{side}'s collected log has {found.records} records, but the journal has {records}")
        return broken

    def _count(self, what: str) -> int:
        return sum(count for (kind, _), count in self.trouble.counts.items() if kind == what)


def say(line: str) -> None:
    print(line, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="soak", description="Kill processes repeatedly; check that nothing is lost.")
    parser.add_argument("minutes", type=float)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    parser.add_argument("--alerts-per-s", type=float, default=16.0, help="alerts per second of both sides together")
    parser.add_argument("--report", type=Path, help="write soak.csv and soak.svg to this folder")
    parser.add_argument("--folder", type=Path, help="work in this empty folder and keep it")
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="soak-"))
    say(f"soak: {given.minutes:g} min, seed {given.seed}, {given.alerts_per_s:g} alerts a second, in {folder}")
    soak = Soak(folder, given.minutes, given.seed, given.alerts_per_s)
    asyncio.run(soak.run())
    totals = soak.judge()
    if given.report is not None:
        given.report.mkdir(parents=True, exist_ok=True)
        soak.gauge.write(given.report / "soak.csv")
        title = f"soak, seed {soak.seed}: {soak.trouble.kills} kills; green: the calm"
        draw(soak.gauge.samples, soak.calm_s, title, given.report / "soak.svg")
    for line in soak.broken[:BROKEN_SHOWN]:
        say(f"BROKEN: {line}")
    if not soak.broken and given.folder is None:
        shutil.rmtree(folder)
    say(totals)
    return 1 if soak.broken else 0


if __name__ == "__main__":
    sys.exit(main())
