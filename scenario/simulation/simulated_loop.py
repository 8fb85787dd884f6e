"""What stands around the service's own loop in the simulated world: its clocks, and the officers' questions to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from endpoints.runtime.endpoint_link import EndpointLink
from endpoints.runtime.link_runner import LinkRunner, Now
from endpoints.runtime.loop import Loop
from protocol.core.events import Request
from protocol.errors import LocalProtocolError
from protocol.wire.instants import Millis
from scenario.simulation.agenda import Agenda

BOOT_MS: Millis = 20_000
"""What a monotonic clock shows when the endpoint comes up after its machine."""


class SimulatedClock:
    """A machine's clocks. `skew` is how far its wall clock is off; `boot` is when its monotonic clock began."""

    def __init__(self, agenda: Agenda) -> None:
        self._agenda = agenda
        self.skew: Millis = 0
        self.boot: Millis = agenda.now - BOOT_MS

    def now(self) -> tuple[Millis, Millis]:
        """Return `(at, mono)`."""
        return self._agenda.now + self.skew, self._agenda.now - self.boot

    def real_ms(self) -> Millis:
        """Return `mono`: there is no exercise here."""
        return self._agenda.now - self.boot

    async def wait_until(self, at: Millis | None, mono: Millis | None) -> None:
        """Nobody waits in virtual time: the agenda wakes the loop."""
        raise NotImplementedError

    def reached(self, at: Millis) -> Millis:
        """Return the true instant at which the wall clock shows `at`."""
        return at - self.skew

    def elapsed(self, mono: Millis) -> Millis:
        """Return the true instant at which the monotonic clock shows `mono`."""
        return mono + self.boot


class SimulatedLoop(Loop):
    """The loop, without its timer and without a look at the clocks every second: the world says when there is news."""

    def __init__(self, clock: SimulatedClock, runner: LinkRunner[Any]) -> None:
        super().__init__(clock, {runner.link: runner}, lambda: None)
        self._simulated = clock
        self.irregular = False

    def look(self) -> None:
        """Look at the clocks, as the loop does every second, just before they become irregular."""
        at, mono = self._simulated.now()
        self._watch.observe(at, mono, self._simulated.real_ms())
        self.irregular = True

    def next_wake(self) -> Millis | None:
        """Return the true instant of the earliest deadline."""
        deadline, clock = self._earliest(), self._simulated
        instants = [
            *([] if deadline.at is None else [clock.reached(deadline.at)]),
            *([] if deadline.mono is None else [clock.elapsed(deadline.mono)]),
        ]
        return min(instants, default=None)

    def _look_at_the_clocks(self, now: Now) -> None:
        if self.irregular:
            self.irregular = False
            super()._look_at_the_clocks(now)
        else:
            # as if it had looked a second ago
            self._watch.observe(now.at, now.mono, self._simulated.real_ms())


class Question:
    """A request of an officer, in the loop's inbox; `answer` gets the reference or the error, once it is on disk."""

    def __init__(
        self,
        runner: EndpointLink,
        make: Callable[[Now], Request],
        answer: Callable[[str, LocalProtocolError | None], None],
    ) -> None:
        self._runner = runner
        self._make = make
        self._answer = answer
        self._reference = ""
        self._error: LocalProtocolError | None = None

    def take(self, now: Now) -> None:
        """Hand the request to the room."""
        if self._runner.failure is not None:
            return
        try:
            self._reference = self._runner.request(self._make(now))
        except LocalProtocolError as error:
            self._error = error

    def settle(self) -> None:
        """Answer, unless the link has stopped: then the officer asks again later."""
        if self._runner.failure is None:
            self._answer(self._reference, self._error)
