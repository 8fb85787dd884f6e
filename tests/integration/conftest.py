"""A real Mosquitto with the project's own configuration, on a port of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.errors import BrokerError
from broker.local import find
from tests.support.broker_site import BrokerSite


@pytest.fixture
def site(tmp_path: Path) -> Iterator[BrokerSite]:
    """A broker with its files, not started."""
    try:
        find()
    except BrokerError as error:
        pytest.skip(str(error))
    site = BrokerSite(tmp_path)
    yield site
    site.close()


@pytest.fixture
def running(site: BrokerSite) -> BrokerSite:
    """A broker that listens."""
    site.broker.start()
    return site
