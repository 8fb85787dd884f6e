"""The window of publishes that wait for the broker's answer."""

from __future__ import annotations

from endpoints.mqtt.publishes import NOT_OURS, Publishes


class Bench:
    def __init__(self) -> None:
        self.sent: list[str] = []
        self.publishes = Publishes(self.send)

    def send(self, topic: str, payload: bytes) -> int:
        del payload
        self.sent.append(topic)
        return len(self.sent)


def test_no_more_than_the_window_are_without_an_answer() -> None:
    bench = Bench()
    for topic in "abc":
        bench.publishes.add(topic, b"", topic)
    assert bench.sent == []

    bench.publishes.widen(2)
    assert bench.sent == ["a", "b"]
    assert (len(bench.publishes), bench.publishes.unanswered) == (3, "a")

    assert bench.publishes.answered(7) is NOT_OURS
    assert bench.sent == ["a", "b"]
    assert bench.publishes.answered(1) == "a"
    assert bench.sent == ["a", "b", "c"]
    assert bench.publishes.unanswered == "b"


def test_looks_count_from_the_last_answer_while_something_waits_for_one() -> None:
    bench = Bench()
    bench.publishes.widen(2)
    assert bench.publishes.look() == 0

    for topic in "ab":
        bench.publishes.add(topic, b"", topic)
    assert [bench.publishes.look() for _ in range(3)] == [1, 2, 3]

    bench.publishes.answered(1)
    assert bench.publishes.look() == 1
    bench.publishes.answered(2)
    assert [bench.publishes.look() for _ in range(2)] == [0, 0]
