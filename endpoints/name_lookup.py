"""Looks up the addresses of a host without blocking anything else, even where the system's resolver hangs."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading

from protocol.phrases import phrase

HANGING_MAX = 4
"""How many look-ups may hang at a time, each in a thread; further ones fail until one of them ends."""

_places = threading.BoundedSemaphore(HANGING_MAX)


async def addresses(host: str, port: int) -> list[str]:
    """Return the addresses of `host` for TCP, the preferred one first. Raises OSError.

    The resolver runs in a daemon thread: asyncio's own threads are joined at the end of the process, and are few.
    """
    if not _places.acquire(blocking=False):
        raise socket.gaierror(socket.EAI_AGAIN, phrase("{count} look-ups of names hang", count=HANGING_MAX))
    loop = asyncio.get_running_loop()
    done: asyncio.Future[list[str]] = loop.create_future()

    def work() -> None:
        found: list[str] = []
        wrong: Exception | None = None
        try:
            found = [str(each[4][0]) for each in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
        except (OSError, UnicodeError) as error:
            # a label of the name is empty or too long
            wrong = error if isinstance(error, OSError) else socket.gaierror(socket.EAI_NONAME, str(error))
        finally:
            _places.release()
        # the loop may have ended in the meantime
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(arrived, found, wrong)

    def arrived(found: list[str], wrong: Exception | None) -> None:
        if done.done():
            return
        if wrong is None:
            done.set_result(found)
        else:
            done.set_exception(wrong)

    threading.Thread(target=work, name="name-lookup", daemon=True).start()
    return await done
