"""Raises and acknowledges alerts inside an endpoint's process, through its work queue: without HTTP or credentials."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping, Sequence

from endpoints.control.requests import Ask, AskAcknowledge
from endpoints.errors import UserError
from endpoints.runtime.link_runner import AnyRunner
from endpoints.runtime.work_items import RequestItem
from endpoints.runtime.work_queue import WorkQueue
from load.alerts import Template
from load.channel import Receipted
from load.driver import ClockNs, Driver, Load, Slice, Told
from protocol.core.alerts import AlertState
from protocol.errors import LocalProtocolError
from protocol.phrases import phrase, worded
from protocol.wire.messages import Reference

NO_CREDENTIAL = "-"
"""The queue lies behind the check of credentials."""
AT_ONCE_MAX = 128
"""Acknowledgements in the queue at a time."""

Answered = Callable[[str, LocalProtocolError | None], None]
"""Takes the reference that a request led to, or the error."""


class QueueReply:
    """Carries the answer to a request to a callback."""

    def __init__(self, answered: Answered) -> None:
        self._answered = answered

    def done(self) -> bool:
        """Return that the caller waits."""
        return False

    def set_result(self, result: str, /) -> None:
        """Take the reference."""
        self._answered(result, None)

    def set_exception(self, exception: LocalProtocolError, /) -> None:
        """Take an error."""
        self._answered("", exception)


class QueueLoad:
    """The exchanges of one slice, raised through the work queue."""

    def __init__(
        self,
        runners: Mapping[str, AnyRunner],
        queue: WorkQueue,
        clock_ns: ClockNs,
        load: Load,
        links: Sequence[str],
        template: Template,
        first: int,
        told: Told,
    ) -> None:
        """Prepare it.

        Args:
            runners: the running links of the process.
            queue: its loop's.
            clock_ns: the clock that all processes share.
            load: what to do.
            links: the links that take turns.
            template: of the alerts.
            first: the first alert's number in the run.
            told: takes how many exchanges have finished.
        """
        self.seqs: list[int] = []
        """The number of each exchange's message, by exchange."""
        self.driver = Driver(load, self._begin, clock_ns, told)
        self._runners = runners
        self._queue = queue
        self._links = links
        self._template = template
        self._first = first
        self._exchange_of: dict[tuple[str, int], int] = {}
        # by link, from the message before the first of this slice on
        self._receipted: dict[str, int] = {}

    async def run(self) -> Slice:
        """Run the slice. Raises UserError if a request is refused."""
        return await self.driver.run()

    def receipted(self, row: Receipted) -> None:
        """Take a receipt that is on disk."""
        if row.link not in self._receipted:
            # of a message of an earlier slice
            return
        for seq in range(self._receipted[row.link] + 1, row.upto + 1):
            exchange = self._exchange_of.pop((row.link, seq), None)
            if exchange is not None:
                self.driver.finished(exchange, row.flush_ends_ns)
        self._receipted[row.link] = row.upto

    def _begin(self, exchange: int) -> None:
        link = self._links[exchange % len(self._links)]
        self.seqs.append(0)
        ask = self._template.ask(self._first + exchange, NO_CREDENTIAL)

        def answered(reference: str, error: LocalProtocolError | None) -> None:
            if error is not None:
                self.driver.fail(UserError(refusal(link, error), exit_code=1))
                return
            seq = Reference.parse(reference).seq
            self.seqs[exchange] = seq
            self._exchange_of[link, seq] = exchange
            self._receipted.setdefault(link, seq - 1)

        if not self._queue.put(RequestItem(self._runners[link], ask.event, QueueReply(answered))):
            self.driver.fail(UserError(queue_full(link, len(self._queue)), exit_code=1))


def queue_full(link: str, count: int) -> str:
    """Return that an endpoint's queue takes no more requests."""
    return phrase(
        "link {link}: the endpoint's queue of {count} requests is full; lower --rate or --window",
        link=link,
        count=count,
    )


def refusal(link: str, error: LocalProtocolError) -> str:
    """Return that an endpoint refuses a load test's alerts."""
    return phrase("link {link}: the endpoint refuses the alerts: {why}", link=link, why=worded(error))


async def acknowledge_all(runners: Mapping[str, AnyRunner], queue: WorkQueue, side: str, officer: str) -> int:
    """Acknowledge every open alert of the other side; return how many there were. Raises UserError."""
    count = 0
    for link, runner in runners.items():
        waiting = [
            alert.reference
            for alert in runner.core.snapshot().alerts
            if alert.state is AlertState.RECEIVED and alert.reference.partition("/")[0] != side
        ]
        count += len(waiting)
        for place in range(0, len(waiting), AT_ONCE_MAX):
            asks = [_acknowledgement(each, officer) for each in waiting[place : place + AT_ONCE_MAX]]
            await asyncio.gather(*(_ask(runner, queue, link, ask) for ask in asks))
    return count


def _acknowledgement(reference: str, officer: str) -> Ask:
    return AskAcknowledge(
        request=secrets.token_hex(8), officer=officer, credential=NO_CREDENTIAL, of=reference, decision="understood"
    )


async def _ask(runner: AnyRunner, queue: WorkQueue, link: str, ask: Ask) -> None:
    reply: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    if not queue.put(RequestItem(runner, ask.event, reply)):
        raise UserError(queue_full(link, len(queue)), exit_code=1)
    try:
        await reply
    except LocalProtocolError as error:
        raise UserError(refusal(link, error), exit_code=1) from error
