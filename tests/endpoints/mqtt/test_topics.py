import pytest

from endpoints.mqtt.topics import Topic


def test_a_topic_is_written_and_parsed() -> None:
    """SPEC Q2.1"""
    topic = Topic("eucom-ndmc", "eucom", "receipt")
    assert str(topic) == "deconfliction/v1/eucom-ndmc/eucom/receipt"
    assert Topic.parse(str(topic)) == topic


@pytest.mark.parametrize(
    "text",
    [
        "",
        "deconfliction/v1",
        "deconfliction/v2/l/eucom/message",
        "deconfliction/v1/l/eucom/draft",
        "deconfliction/v1/l/eucom/message/more",
        "deconfliction/v1/l/message",
        "x/deconfliction/v1/l/eucom/message",
    ],
)
def test_a_foreign_topic_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a topic of the link"):
        Topic.parse(text)
