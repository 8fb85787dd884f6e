"""RabbitMQ's definitions: their form, and what the patterns admit."""

from __future__ import annotations

import re
from typing import Any

import pytest

from broker.definitions import definitions
from broker.errors import BrokerError

LINKS = {"eucom-ndmc": ("eucom", "ndmc"), "air": ("ndmc", "centcom")}


def named(made: dict[str, Any], table: str, user: str) -> dict[str, Any]:
    (row,) = [each for each in made[table] if each["user"] == user]
    return dict(row)


def test_every_user_logs_in_with_a_certificate_alone() -> None:
    made = definitions(LINKS, "watch")
    assert {each["name"] for each in made["users"]} == {"eucom", "ndmc", "centcom", "watch", "health"}
    assert all(each["password_hash"] == "" and each["tags"] == [] for each in made["users"])
    for table in ("permissions", "topic_permissions"):
        assert len(made[table]) == 5


def test_the_client_of_health_checks_may_connect_and_nothing_else() -> None:
    """A user without a row of topics could use every topic, and one without a row for the host could not connect."""
    made = definitions(LINKS, "watch")
    for table, rights in (("permissions", ("configure", "write", "read")), ("topic_permissions", ("write", "read"))):
        row = named(made, table, "health")
        assert {row[right] for right in rights} == {"^$"}


def test_the_traps_of_rabbitmq_are_avoided() -> None:
    policies = {each["name"]: each["definition"] for each in definitions(LINKS, "watch")["policies"]}
    # otherwise the watch's full queue would refuse the endpoints' publishes
    assert {each["overflow"] for each in policies.values()} == {"drop-head"}
    # otherwise what was delivered 20 times without an acknowledgement is dropped
    assert policies["deconflict-qos1"]["delivery-limit"] == -1
    # presence words queue for an absent client
    assert policies["deconflict-qos0"]["message-ttl"] == 60_000
    for user in ("eucom", "ndmc", "centcom", "watch"):
        # a delayed will is published through the default exchange, from a queue of its own
        row = named(definitions(LINKS, "watch"), "permissions", user)
        assert re.search(row["write"], "amq.default")
        assert re.search(row["configure"], f"mqtt-will-{user}")


@pytest.mark.parametrize(
    ("user", "writes", "reads"),
    [
        ("eucom", {"eucom-ndmc.eucom"}, {"eucom-ndmc.ndmc"}),
        ("ndmc", {"eucom-ndmc.ndmc", "air.ndmc"}, {"eucom-ndmc.eucom", "air.centcom"}),
        ("watch", set(), {"eucom-ndmc.eucom", "eucom-ndmc.ndmc", "air.ndmc", "air.centcom"}),
    ],
)
def test_topics_are_those_of_the_access_list(user: str, writes: set[str], reads: set[str]) -> None:
    row = named(definitions(LINKS, "watch"), "topic_permissions", user)
    every = {f"{link}.{party}" for link, parties in LINKS.items() for party in (*parties, "watch")}
    for right, wanted in (("write", writes), ("read", reads)):
        for channel in ("message", "receipt", "presence"):
            admitted = {each for each in every if re.search(row[right], f"deconfliction.v1.{each}.{channel}")}
            assert admitted == wanted
        assert not re.search(row[right], "deconfliction.v1.eucom-ndmc.eucom.message.x")
        assert not re.search(row[right], "deconfliction.v1.eucom-ndmcXeucom.message")


def test_a_user_owns_its_queues_alone() -> None:
    row = named(definitions(LINKS, "watch"), "permissions", "eucom")
    for own in ("mqtt-subscription-eucomqos0", "mqtt-subscription-eucomqos1", "mqtt-will-eucom"):
        assert all(re.search(row[right], own) for right in ("configure", "write", "read"))
    for foreign in ("mqtt-subscription-ndmcqos1", "mqtt-subscription-eucomqos1x", "amq.topic"):
        assert not re.search(row["configure"], foreign)
    assert re.search(row["write"], "amq.default")
    assert not re.search(row["read"], "amq.default")


def test_an_identity_that_a_pattern_could_misread_is_refused() -> None:
    with pytest.raises(BrokerError):
        definitions({"a.*": ("eucom", "ndmc")}, "watch")
    with pytest.raises(BrokerError):
        definitions({"a": ("eucom", "watch")}, "watch")
