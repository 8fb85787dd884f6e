"""What the load test makes of an endpoint's answers, from a server that gives them."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from endpoints.clocks.clock import SystemClock
from endpoints.config import default_terms
from endpoints.config.link_file import LinkFile
from endpoints.errors import UserError
from load.alerts import template
from load.at_control import ControlLoad
from load.driver import Load
from protocol.phrases import phrase, said

FILE = LinkFile(terms=default_terms.terms(), parties={})
LINK = FILE.terms.link

Answers = Callable[[int], tuple[str, object]]
"""Returns the status line's end and the document that answers request number N."""


@asynccontextmanager
async def endpoint(folder: Path, answers: Answers) -> AsyncIterator[Path]:
    asked = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        number = asked
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]))
        status, document = answers(number)
        content = document if isinstance(document, bytes) else json.dumps(document).encode()
        writer.write(f"HTTP/1.1 {status}\r\ncontent-length: {len(content)}\r\n\r\n".encode() + content)
        writer.close()

    path = folder / "control.sock"
    async with await asyncio.start_unix_server(serve, path=str(path)):
        yield path


def loaded(path: Path, window: int = 2, count_max: int = 4) -> ControlLoad:
    load = Load(window=window, seconds=10, count_max=count_max, patience_s=10)
    made = template("0a1b2c3d", FILE, "watch-1", 1_213)
    return ControlLoad(path, SystemClock().precise_ns, load, [LINK], made, "secret", 0, lambda _: None)


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("c")


async def test_an_exchange_ends_with_its_receipt_which_may_come_before_the_answer(folder: Path) -> None:
    running: list[ControlLoad] = []

    def answers(number: int) -> tuple[str, object]:
        if number == 1:
            # the receipt overtakes the answer
            running[0].receipted(LINK, 1, 2_000)
        else:
            asyncio.get_running_loop().call_later(0.01, running[0].receipted, LINK, number, 5_000)
        return "200 OK", {"reference": f"eucom/1/{number}"}

    async with endpoint(folder, answers) as path:
        running.append(loaded(path))
        outcome = await running[0].run()

    assert sorted(outcome.seqs) == [1, 2, 3, 4]
    assert outcome.times.unfinished == 0
    assert 2_000 in outcome.times.finished_ns
    assert all(outcome.answered_ns)


async def test_a_full_outbox_ends_the_run_with_what_the_endpoint_says(folder: Path) -> None:
    full = phrase("the outbox holds {count} messages without a receipt", count=10_000)
    refusal = {"code": "outbox_full", "detail": str(full), "said": {"text": full.template, "values": full.values}}
    assert said(full) is not None

    async with endpoint(folder, lambda _: ("409 Conflict", refusal)) as path:
        with pytest.raises(UserError, match="the endpoint refuses: the outbox holds 10000 messages") as refused:
            await loaded(path).run()
    assert refused.value.exit_code == 1


async def test_an_endpoint_that_crashes_ends_the_run(folder: Path) -> None:
    async with endpoint(folder, lambda _: ("200 OK", b"")) as path:
        with pytest.raises(UserError, match="the connection was lost") as lost:
            await loaded(path).run()
    assert lost.value.exit_code == 12


async def test_nobody_at_the_socket_ends_the_run(folder: Path) -> None:
    with pytest.raises(UserError, match="nobody answers on this control socket"):
        await loaded(folder / "none.sock").run()
