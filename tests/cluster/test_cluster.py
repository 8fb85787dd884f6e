"""Alerts flow while nodes of a RabbitMQ cluster are killed, cut off, frozen and restarted: none is lost or doubled."""

from __future__ import annotations

import re
import time

import pytest

from tests.cluster.rabbit_stack import HOSTS, RabbitStack

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]
FAULT_S = 20.0
CUT_OFF_S = 60.0
FROZEN_S = 75.0
"""Longer than it takes until the others count a frozen node as gone: under Mnesia, it never came back."""


@pytest.mark.parametrize("host", HOSTS)
def test_a_node_is_killed(cluster: RabbitStack, host: str) -> None:
    with cluster.alerts(f"{host} killed, then started"):
        cluster.kill(host)
        cluster.connected()
        cluster.start(host)
        cluster.ready()


def test_the_nodes_are_restarted_one_after_another(cluster: RabbitStack) -> None:
    with cluster.alerts("each node stopped and started in turn"):
        for host in HOSTS:
            cluster.compose("stop", host)
            cluster.start(host)
            cluster.ready()


def test_a_minority_keeps_its_clients_port_but_loses_the_cluster(cluster: RabbitStack) -> None:
    host = cluster.where("eucom")
    with cluster.alerts(f"eucom's node cut off from the other nodes for {CUT_OFF_S:.0f} s"):
        with cluster.cut(host, "nodes"):
            time.sleep(CUT_OFF_S)
            # it answers the keepalive, so that only a publish without an answer tells
            assert cluster.where("eucom") != host
            other = next(each for each in HOSTS if each != host)
            running = cluster.ctl(other, "eval", "length(rabbit_nodes:list_running()).").strip()
            assert running == str(len(HOSTS) - 1)
        cluster.ready()


def test_a_minority_is_cut_off_from_everybody(cluster: RabbitStack) -> None:
    host = cluster.where("ndmc")
    with cluster.alerts("ndmc's node cut off from everybody"):
        with cluster.cut(host, "nodes", "link"):
            time.sleep(FAULT_S)
            cluster.connected()
            assert cluster.where("ndmc") != host
        cluster.ready()


def test_a_frozen_node_comes_back_by_itself(cluster: RabbitStack) -> None:
    assert "khepri_db\tenabled" in cluster.ctl("broker", "list_feature_flags", "name", "state")
    host = cluster.where("eucom")
    with cluster.alerts(f"eucom's node frozen for {FROZEN_S:.0f} s"):
        with cluster.frozen(host):
            time.sleep(FROZEN_S)
            cluster.connected()
        cluster.ready()


def test_a_memory_alarm_on_one_node_delays_and_loses_nothing(cluster: RabbitStack) -> None:
    host = cluster.where("eucom")
    with cluster.alerts(f"memory alarm on eucom's node for {FAULT_S:.0f} s"):
        cluster.ctl(host, "set_vm_memory_high_watermark", "0.00001")
        try:
            time.sleep(FAULT_S)
            assert "resource_limit,memory" in cluster.ctl(host, "eval", "rabbit_alarm:get_alarms().")
        finally:
            cluster.ctl(host, "set_vm_memory_high_watermark", "0.6")
        cluster.ready()


def test_the_journals_agree(cluster: RabbitStack) -> None:
    print(f"\n{cluster.reconciled()}")
    found = cluster.ctl("broker", "eval", "[amqqueue:get_type(Q) || Q <- rabbit_amqqueue:list()].")
    assert set(re.findall(r"rabbit_\w+", found)) == {"rabbit_quorum_queue"}
