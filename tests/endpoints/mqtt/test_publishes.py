"""The window of publishes that wait for the broker's answer."""

from __future__ import annotations

from endpoints.mqtt.publishes import NOT_OURS, Publishes


class Bench:
    def __init__(self) -> None:
        self.sent: list[str] = []
        self.now_s = 100.0
        self.publishes = Publishes(self.send, lambda: self.now_s)
        self.publishes.window = 2

    def send(self, topic: str, payload: bytes) -> int:
        del payload
        self.sent.append(topic)
        return len(self.sent)


def test_no_more_than_the_window_are_without_an_answer() -> None:
    bench = Bench()
    for topic in "abc":
        bench.publishes.add(topic, b"", topic)

    assert bench.publishes.fill()
    assert bench.sent == ["a", "b"]
    assert (len(bench.publishes), bench.publishes.unanswered) == (3, "a")
    assert not bench.publishes.fill()

    assert bench.publishes.answered(1) == "a"
    assert bench.publishes.answered(7) is NOT_OURS
    assert bench.publishes.fill()
    assert bench.sent == ["a", "b", "c"]
    assert bench.publishes.unanswered == "b"


def test_silence_counts_from_the_last_answer_while_something_waits_for_one() -> None:
    bench = Bench()
    bench.now_s += 50
    assert bench.publishes.silent_s == 0

    for topic in "ab":
        bench.publishes.add(topic, b"", topic)
    bench.publishes.fill()
    bench.now_s += 7
    assert bench.publishes.silent_s == 7

    bench.publishes.answered(1)
    bench.now_s += 3
    assert bench.publishes.silent_s == 3

    bench.publishes.answered(2)
    bench.now_s += 90
    assert bench.publishes.silent_s == 0
