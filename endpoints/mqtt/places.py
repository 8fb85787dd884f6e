"""Looks up where a node of the broker listens, for both transports."""

from __future__ import annotations

import asyncio

from endpoints import name_lookup
from endpoints.config.broker_settings import Address
from endpoints.errors import UserError
from endpoints.mqtt.failures import CONNECT_WITHIN_S
from endpoints.network_faults import fault
from protocol.phrases import phrase


async def look_up(address: Address) -> list[str]:
    """Return the IP addresses of a node, each once, the preferred one first.

    Raises UserError, which names the host: its name may have a typo, and some resolvers then never answer.
    """
    try:
        async with asyncio.timeout(CONNECT_WITHIN_S):
            return list(dict.fromkeys(await name_lookup.addresses(address.host, address.port)))
    except TimeoutError:
        raise UserError(
            phrase(
                "the name service does not answer within {seconds} s: {host}; is the name right?",
                host=address.host,
                seconds=round(CONNECT_WITHIN_S),
            )
        ) from None
    except OSError as error:
        raise UserError(phrase("{why}: {host}", host=address.host, why=fault(error))) from None
