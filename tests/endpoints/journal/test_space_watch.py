from endpoints.journal.space_watch import SpaceWatch
from protocol.core.events import SpaceLow, SpaceOk
from tests.support.journal_samples import NOON


def test_each_limit_is_reported_once_when_it_is_crossed() -> None:
    watch = SpaceWatch(low_bytes=100, ok_bytes=200)
    told = [watch.judge(free, NOON, 1) for free in (150, 99, 50, 150, 200, 300, 99)]
    assert [type(event) for event in told] == [
        type(None),
        SpaceLow,
        type(None),
        type(None),
        SpaceOk,
        type(None),
        SpaceLow,
    ]
    assert isinstance(SpaceWatch(low=True).judge(1 << 40, NOON, 1), SpaceOk)
