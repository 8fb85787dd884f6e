"""Looks up where a node of the broker listens, for both transports."""

from __future__ import annotations

import asyncio

from endpoints import name_lookup
from endpoints.config.broker_settings import Address
from endpoints.mqtt.failures import CONNECT_WITHIN_S


async def look_up(address: Address) -> list[str]:
    """Return the IP addresses of a node, each once, the preferred one first. Raises OSError, also after 5 s."""
    async with asyncio.timeout(CONNECT_WITHIN_S):
        return list(dict.fromkeys(await name_lookup.addresses(address.host, address.port)))
