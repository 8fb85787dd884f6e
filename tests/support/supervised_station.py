"""A station whose Mosquitto is run by `deconflict broker`, as an operator does."""

from __future__ import annotations

import functools
import signal

from tests.support.station import ALL, Running, Station


class SupervisedStation(Station):
    """A station whose Mosquitto is a child of `deconflict broker`, which takes over files that are replaced."""

    @functools.cached_property
    def supervisor(self) -> Running:
        """The broker's process."""
        return Running(["broker", str(self.folder / "d")], {})

    def begin(self) -> None:
        """Start the broker and all processes."""
        self.said("listening")
        for each in ALL:
            self.launch(each)
        self.connected(*ALL)

    def said(self, event: str, times: int = 1) -> None:
        """Wait until the broker's process has said this so many times."""
        self.until(lambda: self.supervisor.output().count(f'"event":"{event}'.encode()) >= times)

    def exchanged(self) -> None:
        """Send an alert in each direction; return when it is applied there."""
        for sender, receiver in (("eucom", "ndmc"), ("ndmc", "eucom")):
            reference = self.alert(sender)
            self.until(functools.partial(self._has, receiver, reference))

    def _has(self, receiver: str, reference: str) -> bool:
        return self.alert_state(receiver, reference) is not None

    def __exit__(self, *left: object) -> None:
        super().__exit__(*left)
        self.supervisor.end(signal.SIGTERM)
