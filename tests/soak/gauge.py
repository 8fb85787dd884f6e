"""Samples the memory, file descriptors and disk usage of each process, and checks them for growth during the calm."""

import asyncio
import csv
import statistics
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from tests.soak.installation import Installation

EVERY_S = 2.0
CALM_ENOUGH_S = 90.0
"""The shortest calm over which growth is checked."""
GROWTH_MAX = 1.15
"""Maximum ratio of a process's memory in the last third of the calm to that in the second third. The state of a link
is bounded, and it is full after a thousand messages."""
DESCRIPTORS_SLACK = 8
"""Permitted increase of descriptors: control connections open and close."""


class Sample(Struct, frozen=True):
    """A sample of one process, at `at_s` seconds since the start; `rss_kib` is the resident memory."""

    at_s: float
    name: str
    pid: int
    rss_kib: int
    descriptors: int
    disk_kib: int
    messages: int


class Gauge:
    """Samples all processes every `EVERY_S` until cancelled."""

    def __init__(self, installation: Installation, messages: Callable[[], int]) -> None:
        self.samples: list[Sample] = []
        self._installation = installation
        self._messages = messages

    async def run(self) -> None:
        clock = asyncio.get_running_loop()
        began_s = clock.time()
        while True:
            for name, pid in self._installation.pids.items():
                if pid is not None and (sample := self._sample(clock.time() - began_s, name, pid)) is not None:
                    self.samples.append(sample)
            await asyncio.sleep(EVERY_S)

    def _sample(self, at_s: float, name: str, pid: int) -> Sample | None:
        try:
            status = Path(f"/proc/{pid}/status").read_text()
            descriptors = len([*Path(f"/proc/{pid}/fd").iterdir()])
        except OSError:
            return None
        # a zombie process has no resident memory
        rss = next((line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")), None)
        if rss is None:
            return None
        disk_kib = _disk_kib(self._installation.disks[name])
        return Sample(round(at_s, 1), name, pid, int(rss), descriptors, disk_kib, self._messages())

    def write(self, path: Path) -> None:
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(Sample.__struct_fields__)
            writer.writerows([getattr(each, field) for field in Sample.__struct_fields__] for each in self.samples)

    def growth(self, since_s: float, until_s: float) -> tuple[list[str], list[str]]:
        """Return a summary line for each process between two times, and a line for each growth beyond the limits."""
        lines, broken = [], []
        third_s = (until_s - since_s) / 3
        for name in self._installation.pids:
            of_it = [each for each in self.samples if each.name == name]
            early = [each for each in of_it if since_s + third_s <= each.at_s < since_s + 2 * third_s]
            late = [each for each in of_it if since_s + 2 * third_s <= each.at_s <= until_s]
            if not early or not late:
                continue
            rss = [statistics.median(each.rss_kib for each in part) / 1_024 for part in (early, late)]
            descriptors = [statistics.median(each.descriptors for each in part) for part in (early, late)]
            lines.append(
                f"{name}: memory {rss[0]:.1f} -> {rss[1]:.1f} MiB, descriptors {descriptors[0]:.0f} -> "
                f"{descriptors[1]:.0f}, disk {early[0].disk_kib / 1_024:.0f} -> {late[-1].disk_kib / 1_024:.0f} MiB"
            )
            if until_s - since_s < CALM_ENOUGH_S:
                continue
            if rss[1] > rss[0] * GROWTH_MAX:
                broken.append(f"{name}: memory grows in the calm")
            if descriptors[1] > descriptors[0] + DESCRIPTORS_SLACK:
                broken.append(f"{name}: file descriptors grow in the calm")
        return lines, broken


def _disk_kib(folder: Path) -> int:
    total = 0
    for path in folder.iterdir() if folder.exists() else ():
        try:
            total += path.stat().st_blocks
        except FileNotFoundError:
            continue
    return total // 2
