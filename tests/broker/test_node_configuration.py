"""RabbitMQ's configuration for a cluster."""

from __future__ import annotations

import pytest

from broker.cluster import node_configuration
from broker.errors import BrokerError


def test_every_node_is_named_and_the_client_id_is_tied_to_the_certificate() -> None:
    text = node_configuration(("a", "b", "c"), address="0.0.0.0", port=8884)
    lines = text.splitlines()

    assert [line for line in lines if "classic_config.nodes" in line] == [
        f"cluster_formation.classic_config.nodes.{number} = rabbit@{name}" for number, name in enumerate("abc", 1)
    ]
    for wanted in (
        "mqtt.listeners.ssl.1 = 0.0.0.0:8884",
        "mqtt.listeners.tcp = none",
        "ssl_options.fail_if_no_peer_cert = true",
        "mqtt.ssl_cert_client_id_from = subject_alternative_name",
        "mqtt.ssl_cert_login_san_type = dns",
        "mqtt.max_session_expiry_interval_seconds = 2592000",
        "mqtt.retained_message_store = rabbit_mqtt_retained_msg_store_noop",
        "cluster_partition_handling = pause_minority",
        "vm_memory_high_watermark.relative = 0.6",
        "disk_free_limit.absolute = 500MB",
        "default_queue_type = quorum",
        "mqtt.durable_queue_type = quorum",
        "load_definitions = /etc/deconflict/definitions.json",
    ):
        assert wanted in lines
    assert "$" not in text


@pytest.mark.parametrize("nodes", [("r1", "r2"), ("r1", "r1", "r2"), ("r1", "r2", "R 3"), ()])
def test_a_cluster_that_survives_no_loss_is_refused(nodes: tuple[str, ...]) -> None:
    with pytest.raises(BrokerError):
        node_configuration(nodes, address="127.0.0.1", port=8883)
