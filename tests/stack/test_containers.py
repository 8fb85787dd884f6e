"""What each container may do, and what it sees: users, capabilities, file systems, volumes, ports, limits, health."""

import re

import pytest

from tests.stack.compose import OURS, SIDES, Compose, eventually
from tests.support.engine import docker

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

MOUNTS = {
    party: {
        "/link": (False, "public"),
        f"/link/{party}": (True, party),
        f"/link/{party}/journal": (True, f"{party}-journal"),
        f"/link/{party}/run": (True, f"{party}-run"),
    }
    for party in OURS
} | {"broker": {"/link/broker": (False, "broker"), "/link/broker/data": (True, "broker-data")}}
"""The volumes of each service that runs: where, whether it may write there, and which."""
LISTENING, MQTT, HEALTH, DNS = "0A", "22B3", "24F8", "0B00007F"
"""In /proc/net/tcp: the state, ports 8883 and 9464, and 127.0.0.11, where the engine's own resolver listens."""
HIDDEN = ("gcc", "cc", "pip", "pip3", "uv", "apt", "apt-get")


def test_all_services_are_healthy_and_publish_no_ports(stack: Compose) -> None:
    # a container that has just been started again is not judged yet
    eventually(lambda: {stack.health(each) for each in ("broker", *OURS)} == {"healthy"}, "every service is healthy")
    containers = stack.containers()
    assert set(containers) == {"provision", "broker", *OURS}
    provision = containers.pop("provision")["State"]
    assert (provision["Status"], provision["ExitCode"]) == ("exited", 0)
    for service, container in containers.items():
        assert not container["HostConfig"]["PortBindings"], service
        assert not any(container["NetworkSettings"]["Ports"].values()), service
        assert container["RestartCount"] == 0, service
        assert list(container["NetworkSettings"]["Networks"]) == [f"{stack.project}_link"], service
    network = docker("network", "inspect", f"{stack.project}_link", "--format", "{{.Internal}}")
    assert network.strip() == "true"


def test_every_container_is_confined(stack: Compose) -> None:
    for service, container in stack.containers().items():
        host = container["HostConfig"]
        assert host["ReadonlyRootfs"], service
        assert host["CapDrop"] == ["ALL"], service
        added = {name.removeprefix("CAP_") for name in host["CapAdd"] or ()}
        assert added == ({"CHOWN", "DAC_OVERRIDE", "FOWNER"} if service == "provision" else set()), service
        assert host["SecurityOpt"] == ["no-new-privileges:true"], service
        assert not host["Privileged"], service
        assert host["PidsLimit"] == 128, service
        assert host["Memory"] == 512 * 1024**2, service
        assert host["LogConfig"] == {"Type": "json-file", "Config": {"max-size": "20m", "max-file": "5"}}, service
        assert container["Config"]["StopTimeout"] == 30, service
        user = {"provision": "0:0", "broker": "1883:1883"}.get(service, "10001:10001")
        assert container["Config"]["User"] == user, service
        if service == "provision":
            assert host["NetworkMode"] == "none"


@pytest.mark.parametrize("service", MOUNTS)
def test_a_process_has_no_rights_and_writes_only_into_its_volumes(stack: Compose, service: str) -> None:
    status = stack.shell(service, "cat /proc/1/status")
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert {fields[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert fields["NoNewPrivs"] == "1"
    user = "1883" if service == "broker" else "10001"
    assert set(fields["Uid"].split()) == set(fields["Gid"].split()) == {user}
    mounts = stack.containers()[service]["Mounts"]
    found = {each["Destination"]: (each["RW"], each["Name"].removeprefix(f"{stack.project}_")) for each in mounts}
    assert found == MOUNTS[service]
    for folder in ("/", "/link", "/usr/bin", *(["/link/broker"] if service == "broker" else ["/app"])):
        refused = stack.shell(service, f"touch {folder}/new 2>&1 && echo written || true")
        assert re.search(r"Read-only|Permission denied", refused), (folder, refused)
    for folder, (writable, _) in MOUNTS[service].items():
        if writable:
            assert stack.shell(service, f"stat -c '%a %u' {folder}").split() == ["700", user], folder


def test_only_the_broker_and_the_health_listeners_listen(stack: Compose) -> None:
    for service in MOUNTS:
        rows = [
            line.split() for line in stack.shell(service, "cat /proc/net/tcp /proc/net/tcp6 2>/dev/null").splitlines()
        ]
        listening = {row[1] for row in rows if row[3:4] == [LISTENING] and not row[1].startswith(DNS)}
        assert {address.rpartition(":")[2] for address in listening} == {MQTT if service == "broker" else HEALTH}


def test_each_service_sees_only_its_own_keys(stack: Compose) -> None:
    private = {
        service: set(stack.shell(service, "find /link -name '*.key' -o -name '*.pem' -o -name '*.credential'").split())
        for service in MOUNTS
    }
    for service, paths in private.items():
        assert paths, service
        assert all(path.startswith(f"/link/{service}/") for path in paths), service
    # and no two services hold the same key under different names
    digests = [
        line.split()[0]
        for service, paths in private.items()
        for line in stack.shell(service, f"sha256sum {' '.join(sorted(paths))}").splitlines()
    ]
    assert len(digests) == len(set(digests)) == sum(map(len, private.values()))
    # the watch has a key for the heads of its journal alone, and no service has the key of the certificate authority
    signing = {path for path in private["watch"] if path.startswith("/link/watch/keys/") and path.endswith(".pem")}
    assert len(signing) == 1
    officer = "/link/watch/keys/officers/observer-1.credential"
    assert private["watch"] == {"/link/watch/tls/client.key", officer, *signing}
    # its own, and that of the client without rights that checks it
    assert private["broker"] == {"/link/broker/tls/server.key", "/link/broker/health/client.key"}
    assert not any("ca.key" in path for paths in private.values() for path in paths)


def test_what_reads_journals_sees_no_key(stack: Compose) -> None:
    audit = ("--progress", "quiet", "--profile", "audit", "run", "--rm", "-T")
    find = "find /link /journals -name '*.key' -o -name '*.pem' -o -name '*.credential' -o -name '*.toml'; echo end"
    assert stack(*audit, "--entrypoint", "sh", "audit", "-c", find).split() == ["/link/link.toml", "end"]
    journals = [f"{party}/eucom-ndmc" for party in OURS]
    verified = stack(*audit, "audit", "log", "verify", *journals, "--link-file", "/link/link.toml")
    assert verified.count("INTACT") == len(journals)


def test_commands_need_no_path(stack: Compose) -> None:
    for side in SIDES:
        assert f"eucom-ndmc (EXERCISE), {side}: " in stack.shell(side, "deconflict status || [ $? -le 11 ]")
    assert "watch: " in stack.shell("watch", "deconflict status || [ $? -le 11 ]")


def test_the_image_has_no_tools_to_change_it(stack: Compose) -> None:
    found = stack.shell("eucom", f"for name in {' '.join(HIDDEN)}; do command -v $name || true; done; echo end")
    assert found.split() == ["end"]
    assert "No module named" in stack.shell("eucom", "python3 -m pip 2>&1 || python3 -m ensurepip 2>&1 || true")
    assert stack.shell("eucom", "find / -xdev -type f -perm /6000 2>/dev/null || true").split() == []


def test_a_second_start_changes_nothing(stack: Compose) -> None:
    before = {service: container["Id"] for service, container in stack.containers().items()}
    link = stack.shell("eucom", "cat link.toml")
    stack.up()
    assert {service: container["Id"] for service, container in stack.containers().items()} == before
    assert stack.shell("eucom", "cat link.toml") == link
