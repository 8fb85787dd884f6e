"""Fixtures: a real Mosquitto with the project's configuration, on its own port."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.errors import BrokerError
from broker.local import find
from tests.support.broker_site import BrokerSite


@pytest.fixture
def site(tmp_path: Path) -> Iterator[BrokerSite]:
    """Yield a broker with its files; it is not started."""
    try:
        find()
    except BrokerError as error:
        pytest.skip(str(error))
    site = BrokerSite(tmp_path)
    yield site
    site.close()


@pytest.fixture
def running(site: BrokerSite) -> BrokerSite:
    """Return a broker that is running."""
    site.broker.start()
    return site
