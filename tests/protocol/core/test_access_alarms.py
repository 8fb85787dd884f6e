"""Alarms about access: certificates that end soon, and wrong credentials of officers (SPEC W3)."""

import pytest

from protocol.core.environment import QUIET_MS, REFUSALS_MAX, REFUSALS_WITHIN_MS, SOURCES_MAX
from protocol.core.events import CertificateSeen, CredentialsRefused
from protocol.core.link import Link
from protocol.core.observer import Observer
from protocol.errors import LocalProtocolError
from protocol.wire.instants import parsed, written
from tests.support.playbook import Cue, Playbook, event, play, wait
from tests.support.world import DAY, MINUTE, SECOND, START, TERMS, End

ALARM = "credentials_refused/uid-1000"


def quiet(side: str = "ndmc") -> End:
    """Return an end of a link without slots."""
    return End.started(side, quiet=True)


def seen(days: float, whose: str = "broker", since: int = START) -> Cue:
    """Read a certificate that ends `days` after `since`."""
    return event(CertificateSeen, whose=whose, ends_at=written(since + round(days * DAY)))


def wrong(count: int, source: str = "uid-1000") -> Cue:
    return event(CredentialsRefused, count=count, source=source)


def test_a_certificate_is_an_alarm_thirty_and_seven_days_ahead_until_it_is_renewed() -> None:
    """SPEC W3"""
    assert (
        Playbook(quiet())
        >> seen(31)
        >> wait(2 * DAY)
        >> seen(31)
        << "RaiseAlarm certificate_expiring/broker/30d, since 07:50:00.000Z"
        >> wait(DAY)
        >> seen(31)
        >> wait(22 * DAY)
        >> seen(31)
        << "RaiseAlarm certificate_expiring/broker/7d, since 07:50:00.000Z"
        >> seen(500)
        << "ClearAlarm certificate_expiring/broker/30d"
        << "ClearAlarm certificate_expiring/broker/7d"
        >> seen(500)
    )


def test_the_alarm_carries_the_instant_at_which_it_was_due() -> None:
    """SPEC W4"""
    end = quiet()
    ends = written(end.at + 10 * DAY)
    end.happens((CertificateSeen, {"whose": "own", "ends_at": ends}))

    (alarm,) = end.core.snapshot().alarms

    assert alarm.raised_at == written(parsed(ends) - 30 * DAY)
    assert alarm.detected_at == written(end.at)
    assert alarm.detail == f"the certificate of this process ends on {ends}: renew it before"
    assert alarm.severity == "major"


def test_the_alarm_says_so_once_the_certificate_has_ended() -> None:
    """SPEC W4.3"""
    end = quiet()
    ends = written(end.at + 5 * DAY)
    end.happens((CertificateSeen, {"whose": "own", "ends_at": ends}))
    end.world.at += 6 * DAY
    end.happens((CertificateSeen, {"whose": "own", "ends_at": ends}))

    details = {alarm.subject: alarm.detail for alarm in end.core.snapshot().alarms}
    assert details == dict.fromkeys(
        ("own/30d", "own/7d"), f"the certificate of this process has ended on {ends}: renew it"
    )


def test_each_certificate_has_an_alarm_of_its_own() -> None:
    end = quiet()
    for whose in ("own", "authority", "broker"):
        end.happens((CertificateSeen, {"whose": whose, "ends_at": written(end.at + 10 * DAY)}))
    assert [alarm.subject for alarm in end.core.snapshot().alarms] == ["own/30d", "authority/30d", "broker/30d"]


def test_a_certificate_that_has_ended_long_ago_is_an_alarm_too() -> None:
    for ends in ("0001-01-01T00:00:00.000Z", "1970-01-02T00:00:00.000Z"):
        end = quiet()
        end.happens((CertificateSeen, {"whose": "own", "ends_at": ends}))
        assert len(end.core.snapshot().alarms) == 2


@pytest.mark.parametrize("ends", ["2022-13-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z"])
def test_an_end_that_no_calendar_has_or_that_is_too_far_ahead_is_refused(ends: str) -> None:
    end = quiet()
    with pytest.raises(LocalProtocolError) as refused:
        end.core.handle(CertificateSeen(at=end.at, mono=end.mono, whose="own", ends_at=ends))
    assert refused.value.code == "wrong_event"


def test_ten_wrong_credentials_in_ten_minutes_from_one_source_are_an_alarm_until_it_is_quiet() -> None:
    """SPEC W3"""
    assert (
        Playbook(quiet())
        >> wrong(1)
        >> wrong(8)
        >> wrong(9, "uid-2000")
        >> wrong(1)
        << f"RaiseAlarm {ALARM}"
        >> wait(QUIET_MS - SECOND)
        >> wrong(1)
        >> wait(QUIET_MS - 1)
        >> wait(1)
        << f"ClearAlarm {ALARM}"
    )


def test_the_ten_minutes_are_counted_back_from_each_refusal() -> None:
    """SPEC W3: five at the end of ten minutes and five at the beginning of the next are ten within ten minutes."""
    assert Playbook(quiet()) >> wrong(5) >> wait(REFUSALS_WITHIN_MS - MINUTE) >> wrong(5) << f"RaiseAlarm {ALARM}"
    assert Playbook(quiet()) >> wrong(5) >> wait(REFUSALS_WITHIN_MS) >> wrong(5)


def test_a_slow_series_of_single_refusals_counts_exactly() -> None:
    playbook = Playbook(quiet())
    for _ in range(REFUSALS_MAX - 1):
        playbook = playbook >> wrong(1) >> wait(MINUTE)
    assert playbook >> wrong(1) << f"RaiseAlarm {ALARM}"


def test_a_honest_officer_who_mistypes_now_and_then_is_no_alarm() -> None:
    playbook = Playbook(quiet())
    for _ in range(20):
        playbook = playbook >> wrong(2) >> wait(3 * MINUTE)
    assert playbook


def test_the_sources_that_are_remembered_are_bounded_and_the_oldest_is_forgotten() -> None:
    end = quiet()
    play(end, wrong(9, "uid-1"))
    for number in range(2, SOURCES_MAX + 2):
        play(end, wrong(1, f"uid-{number}"))
    assert len(end.core.state.credentials_refused) == SOURCES_MAX
    play(end, wrong(1, "uid-1"))
    copy = Link.restore(end.core.checkpoint())
    assert list(copy.state.credentials_refused) == list(end.core.state.credentials_refused)
    assert next(iter(copy.state.credentials_refused)) == "uid-3"


def test_wrong_credentials_are_never_said_to_the_peer() -> None:
    end = quiet()
    play(end, wrong(12), f"RaiseAlarm {ALARM}")
    assert end.outgoing == []


def test_the_watch_reports_its_certificates_as_an_endpoint_does() -> None:
    """SPEC W6"""
    end = End(Observer.new(TERMS.link), quiet=True)
    end.start(opened=TERMS)
    at_once = ", since 07:50:00.000Z"
    raised = [f"RaiseAlarm certificate_expiring/own/{lead}{at_once}" for lead in ("30d", "7d")]
    play(end, seen(3, "own"), *raised)
