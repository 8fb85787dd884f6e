from __future__ import annotations

from contextlib import ExitStack

import pytest

from endpoints.console.log_in_throttle import FORGOTTEN_MS, MOST_MS, SOURCES_MAX, WAITING_MAX, LogInThrottle
from endpoints.errors import UserError


class Stopwatch:
    def __init__(self) -> None:
        self.now = 0
        self.throttle = LogInThrottle(lambda: self.now)

    def wrong(self, source: str = "a") -> None:
        with self.throttle.attempt(source) as attempt:
            attempt.wrong()

    def refused_for_s(self, source: str = "a") -> int:
        """Return how long a source has to wait, 0 if it has not."""
        try:
            with self.throttle.attempt(source):
                return 0
        except UserError as error:
            return int(str(error.args[0]).split(" in ")[1].split()[0])


def test_each_wrong_credential_doubles_the_wait_up_to_a_limit() -> None:
    watch = Stopwatch()
    waits = []
    for _ in range(8):
        watch.wrong()
        waits.append(watch.refused_for_s())
        watch.now += MOST_MS
    assert waits == [1, 2, 4, 8, 16, 30, 30, 30]


def test_another_source_waits_for_nobody_and_a_right_one_is_forgiven() -> None:
    watch = Stopwatch()
    watch.wrong()
    assert watch.refused_for_s() == 1
    assert watch.refused_for_s("b") == 0
    watch.now += 1_000
    with watch.throttle.attempt("a") as attempt:
        attempt.right()
    watch.wrong()
    assert watch.refused_for_s() == 1


def test_an_unanswered_attempt_counts_as_neither_and_an_old_one_is_forgotten() -> None:
    watch = Stopwatch()
    watch.wrong()
    watch.wrong("b")
    watch.now += FORGOTTEN_MS
    watch.wrong()
    assert watch.refused_for_s() == 1
    with pytest.raises(ZeroDivisionError), watch.throttle.attempt("c"):
        raise ZeroDivisionError
    assert watch.refused_for_s("c") == 0


def test_only_a_few_are_looked_at_together() -> None:
    watch = Stopwatch()
    with ExitStack() as stack:
        for number in range(WAITING_MAX):
            stack.enter_context(watch.throttle.attempt(str(number)))
        with pytest.raises(UserError, match="others are logging in"), watch.throttle.attempt("late"):
            pass
    assert watch.refused_for_s("late") == 0


def test_the_memory_of_sources_is_bounded() -> None:
    watch = Stopwatch()
    for number in range(SOURCES_MAX + 10):
        watch.wrong(str(number))
    assert watch.refused_for_s("0") == 0
    assert watch.refused_for_s(str(SOURCES_MAX + 9)) == 1
