"""One HTTP request whose time and bytes are limited, to a server that may be slow, hostile or broken.

Only the status of the answer is read. It is httpx over httpcore, without redirects, proxies or a body that could grow
when it is decompressed.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import httpcore
import httpx

from endpoints.errors import UserError
from endpoints.keys.private_files import read_bytes
from endpoints.name_lookup import addresses
from endpoints.network_faults import fault
from protocol.errors import LinkError
from protocol.phrases import phrase

WITHIN_S = 10.0
"""From the look-up of the name to the status of the answer."""
ANSWER_MAX_BYTES = 16_384
"""What is read of an answer at most, interim answers and headers included."""
_PEM_MAX_BYTES = 65_536
_FAILURES = (
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.TimeoutException,
    httpcore.UnsupportedProtocol,
    httpx.HTTPError,
    httpx.InvalidURL,
)


class RequestError(LinkError):
    """There was no answer. The text never names the address, which may hold a secret."""


async def request(
    method: str,
    url: str,
    *,
    trust: ssl.SSLContext,
    headers: Mapping[str, str] | None = None,
    content: bytes = b"",
    target: bytes = b"",
) -> int:
    """Send one request; return the status of the answer. Raises RequestError.

    Args:
        method: the HTTP method.
        url: of HTTP or HTTPS; a user and password in it are sent as basic authentication.
        trust: what `trusted` returned.
        headers: further headers.
        content: the body.
        target: what the request names in place of the URL's path and query: `*` for the server as a whole.
    """
    try:
        async with (
            asyncio.timeout(WITHIN_S),
            httpx.AsyncClient(transport=_Transport(trust), trust_env=False, timeout=None) as client,  # noqa: S113 - above
        ):
            response = await client.request(
                method, url, headers=headers, content=content, extensions={"target": target} if target else None
            )
    except TimeoutError as error:
        raise RequestError(phrase("no answer within {seconds} s", seconds=round(WITHIN_S))) from error
    except _TooLongError as error:
        raise RequestError(phrase("the answer is longer than {count} bytes", count=ANSWER_MAX_BYTES)) from error
    except (httpcore.ProtocolError, httpx.InvalidURL) as error:
        if error.__context__ is None:
            # httpcore's own finding; else h11 could not read the answer
            raise RequestError(phrase("the connection was closed without an answer")) from error
        raise RequestError(phrase("what answered does not speak HTTP")) from error
    except (*_FAILURES, OSError) as error:
        raise RequestError(fault(error)) from error
    return response.status_code


def trusted(authority: Path | None) -> ssl.SSLContext:
    """Return whom requests over HTTPS trust: the authorities in the PEM file alone, without one the public ones.

    Raises UserError that names the file.
    """
    if authority is None:
        return httpx.create_ssl_context(trust_env=False)
    data = read_bytes(authority, what="certificate", max_bytes=_PEM_MAX_BYTES)
    try:
        return ssl.create_default_context(cadata=data.decode("ascii"))
    except (ssl.SSLError, ValueError):
        raise UserError(
            phrase("{path}: not a certificate in PEM form; name the authority's, such as ca.pem", path=str(authority))
        ) from None


class _TooLongError(Exception):
    """The server sent more than `ANSWER_MAX_BYTES`."""


class _Transport(httpx.AsyncBaseTransport):
    """Sends one request over one connection, and leaves the body of the answer unread."""

    def __init__(self, trust: ssl.SSLContext) -> None:
        self._trust = trust

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        async with (
            httpcore.AsyncConnectionPool(
                ssl_context=self._trust, network_backend=_Network(), max_connections=1, retries=0
            ) as pool,
            pool.stream(
                request.method,
                httpcore.URL(
                    scheme=url.raw_scheme,
                    host=url.raw_host,
                    port=url.port,
                    target=request.extensions.get("target", url.raw_path),
                ),
                headers=request.headers.raw,
                content=await request.aread(),
            ) as response,
        ):
            return httpx.Response(response.status, request=request)


class _Network(httpcore.AsyncNetworkBackend):
    """Connects by `addresses`, and limits what is read."""

    def __init__(self) -> None:
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - as httpcore calls it
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first address of `host` that answers. Raises OSError or an error of httpcore."""
        failed: Exception = OSError("no address")
        for address in await addresses(host, port):
            try:
                stream = await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except (OSError, httpcore.NetworkError) as error:
                failed = error
            else:
                return _Limited(stream, _Allowance())
        raise failed

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await self._inner.sleep(seconds)


class _Allowance:
    """How many bytes may still be read from one connection."""

    def __init__(self) -> None:
        self.left = ANSWER_MAX_BYTES


class _Limited(httpcore.AsyncNetworkStream):
    """A stream of which no more may be read than its allowance."""

    def __init__(self, inner: httpcore.AsyncNetworkStream, allowance: _Allowance) -> None:
        self._inner = inner
        self._allowance = allowance

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - as httpcore calls it
        """Read. Raises _TooLongError."""
        if self._allowance.left <= 0:
            raise _TooLongError
        data = await self._inner.read(min(max_bytes, self._allowance.left), timeout)
        self._allowance.left -= len(data)
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 - as above
        """Write."""
        await self._inner.write(buffer, timeout)

    async def aclose(self) -> None:
        """Close."""
        await self._inner.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - as above
    ) -> httpcore.AsyncNetworkStream:
        """Begin TLS; what its handshake reads is bounded by OpenSSL and by the time."""
        try:
            secured = await self._inner.start_tls(ssl_context, server_hostname, timeout)
        except BaseException:
            # httpcore leaves the socket open when the handshake is cancelled
            await self._inner.aclose()
            raise
        return _Limited(secured, self._allowance)

    def get_extra_info(self, info: str) -> Any:
        """Return what the inner stream says."""
        return self._inner.get_extra_info(info)
