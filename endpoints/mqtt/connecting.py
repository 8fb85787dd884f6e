"""Opens a connection in a thread of its own, which a hanging peer cannot make the process wait for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable


async def in_thread(connect: Callable[[], None], abandon: Callable[[], None]) -> None:
    """Call `connect` in a daemon thread: TCP and TLS may hang, and must not delay the end of the process.

    `abandon` is called if nobody waits for the connection any more. Raises what `connect` raises.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def arrived(error: Exception | None) -> None:
        if done.cancelled():
            abandon()
        elif error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    def work() -> None:
        outcome: Exception | None = None
        try:
            connect()
        except Exception as error:  # noqa: BLE001 - passed to the loop
            outcome = error
        try:
            loop.call_soon_threadsafe(arrived, outcome)
        except RuntimeError:  # the loop has ended in the meantime
            abandon()

    threading.Thread(target=work, name="broker-connect", daemon=True).start()
    await done
