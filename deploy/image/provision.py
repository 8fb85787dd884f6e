"""Prepares the volumes of the compose stack: the service `provision` runs it before all others.

In empty volumes it makes an installation, as `deconflict init` does. Older volumes are brought into today's layout:
earlier, each party had one volume, with its journal and control socket beside its keys. With an argument, it runs that
command on all the volumes, as root: `docker compose run --rm provision COMMAND ...`.

It changes nothing in volumes that are complete. Otherwise it repairs what it can, and ends with one line about the
rest: no process then starts.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NoReturn

import tomli_w

from broker.atomic_files import PRIVATE_MODE, replace
from broker.names import HEALTH
from deploy.image import cluster_nodes
from deploy.image.volumes import deconflict, end, give, say
from endpoints.clocks.clock import SystemClock
from endpoints.config.first_certificates import health_is_due
from endpoints.config.toml_edit import editing
from endpoints.errors import UserError
from endpoints.journal.archived_segment import open_segment
from endpoints.journal.segments import lock, segments

LINK = Path("/link")
EARLIER = Path("/earlier")
"""Each party's volume once more, without the other volumes on top: what earlier versions kept there."""
SOURCE, BUILT_FROM = Path("/source"), Path("/app/source")
CONFIGS = {"eucom": "endpoint.toml", "ndmc": "endpoint.toml", "watch": "watch.toml"}
CONTROL = "run/control.sock"
PROCESS, BROKER = 10_001, 1_883
"""The users of the link's processes and of the broker."""
BRIDGED_BROKERS = {"eucom": "broker", "ndmc": "broker-ndmc"}
"""Of each side, the host of its own broker. In the stack, `broker` is the volume of eucom's."""
CONSOLE = Path("/console")
"""For each party, a volume with what its settings say to the consoles."""
_SECRET = {"officers", "notifications", "dead_man"}
_MOVING = ".moving"
CLUSTER = os.environ.get("DECONFLICT_STACK") == "cluster"
"""Whether a RabbitMQ cluster takes the place of Mosquitto: deploy/cluster/compose.yml."""
BRIDGED = os.environ.get("DECONFLICT_STACK") == "bridged"
"""Whether each side has a broker of its own: deploy/bridged/compose.yml."""


def main() -> None:
    """Prepare the volumes, or run a command on them."""
    os.chdir(LINK)
    if sys.argv[1:]:
        os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 - the operator's own command
    check_image()
    present = [party for party, config in CONFIGS.items() if Path(party, config).exists()]
    if present or Path("link.toml").exists():
        check_complete(present)
    else:
        hosts = cluster_nodes.HOSTS if CLUSTER else (tuple(BRIDGED_BROKERS.values()) if BRIDGED else ("broker",))
        named = [word for host in hosts for word in ("--broker-host", host)]
        bridged = ["--bridged"] if BRIDGED else []
        deconflict("init", ".", *bridged, *named, "--listen", "0.0.0.0")  # noqa: S104 - of a container
    for party, config in CONFIGS.items():
        move_journals(party)
        check_journals(party)
        place_control(Path(party, config))
        provide_console(Path(party, config))
    if CLUSTER:
        cluster_nodes.provide()
    elif BRIDGED:
        check_bridged()
    else:
        provide_broker()
        give(Path("broker"), BROKER)
    for party in CONFIGS:
        give(Path(party), PROCESS)
    for home in [Path("brokers", side) for side in BRIDGED_BROKERS] if BRIDGED else [Path()]:
        check_authority(home / "authority")
    say("the volumes are complete")


def check_image() -> None:
    """End if the image was built from other files than those beside the compose file.

    Compose v1 does not build an image again that exists, nor does `up --no-build`. Elsewhere than on the engine's own
    machine, there are no files to compare.
    """
    if os.access(SOURCE / "pyproject.toml", os.R_OK):
        found = subprocess.run(  # noqa: S603 - our own script
            ["/app/source-digest", SOURCE], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False, text=True
        )
        if found.returncode == 0 and found.stdout != BUILT_FROM.read_text("utf-8"):
            end("this image was built from other files than the present ones; build it: docker-compose build")


def check_complete(present: list[str]) -> None:
    """End if the volume of a party, or that of the link file, is missing beside others that are there."""
    missing = [f"{party}/{CONFIGS[party]}" for party in CONFIGS if party not in present]
    missing += [] if Path("link.toml").exists() else ["link.toml (of the volume public)"]
    if missing:
        end(
            f"missing: {', '.join(missing)}; other volumes hold an installation: restore the volume from a backup, "
            "or begin anew without any of them: docker compose down --volumes"
        )


def move_journals(party: str) -> None:
    """Move journals that an earlier version kept beside the keys into the journals' own volume."""
    before = EARLIER / party / "journal"
    for journal in sorted(before.iterdir()) if before.is_dir() else ():
        target = Path(party, "journal", journal.name)
        try:
            held = lock(journal)
        except UserError as error:
            end(f"{party}: {error}")
        if target.exists():
            # copied whole, but the original was not removed any more
            check_copied(party, journal, target)
        else:
            moving = target.with_name(f"{_MOVING}-{journal.name}")
            shutil.rmtree(moving, ignore_errors=True)
            shutil.copytree(journal, moving, symlinks=True)
            # all of it is on disk before the original goes
            os.sync()
            moving.rename(target)
            os.sync()
        shutil.rmtree(journal)
        os.close(held)
        say(f"{party}: journal/{journal.name} was moved into the volume {party}-journal")
    # of an earlier version's process; nobody listens there any more
    (EARLIER / party / "control.sock").unlink(missing_ok=True)


def check_copied(party: str, journal: Path, copy: Path) -> None:
    """End if `journal` has a segment that `copy` lacks: an earlier version has run again since the upgrade."""
    for segment in segments(journal):
        try:
            with open_segment(segment) as one, open_segment(copy / segment.name) as other:
                same = one.read().rstrip(b"\0") == other.read().rstrip(b"\0")
        except FileNotFoundError:
            same = False
        if not same:
            end(
                f"{party}: there are two journals {journal.name}: an earlier version has run again since the upgrade, "
                f"and wrote one in the volume {party}. Keep both, and put that one aside: "
                f"docker compose run --rm provision mv {journal} {EARLIER / party / journal.name}.aside"
            )


def check_journals(party: str) -> None:
    """End if a party's volume of journals is empty: it must not start from number 1 again unnoticed."""
    journals = Path(party, "journal")
    for unfinished in journals.glob(f"{_MOVING}-*"):
        shutil.rmtree(unfinished)
    if not any(each.is_dir() for each in journals.iterdir()):
        settings = tomllib.loads(Path(party, CONFIGS[party]).read_text("utf-8"))
        folders = " ".join(f"{party}/{link['journal']}" for link in settings["links"])
        end(
            f"{party}: the volume {party}-journal is empty, but {party} has run before: restore it from a backup. "
            "Without a backup, make the empty journal, and open a new epoch when the stack runs: "
            f"docker compose run --rm provision mkdir {folders}"
        )


def place_control(config: Path) -> None:
    """Have the control socket in the volume of what lives as long as the process."""
    if f'control = "{CONTROL}"' not in config.read_text("utf-8"):
        with editing(config) as document:
            document["control"] = CONTROL


def provide_console(config: Path) -> None:
    """Copy the settings for the consoles, without the tables that hold hashes of credentials and other secrets."""
    settings = tomllib.loads(config.read_text("utf-8"))
    shown = {name: value for name, value in settings.items() if name not in _SECRET}
    for mounted in ("journal", "run"):
        # a console mounts these below a folder that it cannot change
        (CONSOLE / config.parent / mounted).mkdir(exist_ok=True)
    replace(CONSOLE / config, tomli_w.dumps(shown).encode(), PRIVATE_MODE)
    give(CONSOLE / config.parent, PROCESS)


def provide_broker() -> None:
    """Make the broker's files if its volume is new, and the certificate for its health check if that is due."""
    own = Path("broker")
    if all((own / name).exists() for name in ("mosquitto.conf", "acl", "tls/server.key")):
        renew_health(Path(), "broker")
    else:
        if not Path("authority", "ca.key").exists():
            end_without_authority(own)
        for path in own.iterdir():
            if path.name != "data":
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        deconflict("enrol", ".", "--side", "broker", "--broker-host", "broker", "--authority", "authority")
        links = sorted(path.name for path in Path().glob("*.toml"))
        deconflict("broker", ".", "--configure", *links, "--listen", "0.0.0.0", "--yes")  # noqa: S104 - of a container
        say("broker: its volume was empty; its files were made anew")
    move_sessions()


def renew_health(home: Path, host: str) -> None:
    """Make a new certificate for the health check of the broker `host`, in `home/broker`, if that is due."""
    own, authority = home / "broker", home / "authority"
    at, _ = SystemClock().now()
    if not health_is_due(own, authority, at):
        return
    if (authority / "ca.key").exists():
        shutil.rmtree(own / HEALTH, ignore_errors=True)
        say(f"{own}: its health check gets a new certificate")
        deconflict("enrol", str(home), "--side", "broker", "--broker-host", host, "--authority", str(authority))
    elif (own / HEALTH / "client.key").exists():
        say(f"{own}: the certificate of its health check is due, and the authority is missing: cert show {home}")
    else:
        end_without_authority(own)


def end_without_authority(own: Path) -> NoReturn:
    """End: the broker in the folder `own` lacks files that only its authority could issue."""
    end(
        f"{own}: files are missing in its volume, and the authority that could issue certificates is missing, too: "
        "restore the volumes of both from a backup"
    )


def check_authority(folder: Path) -> None:
    """Say so if the volume of an authority has no key, and keep the folder to root."""
    if not (folder / "ca.key").exists():
        say(f"{folder}: its volume has no ca.key, and no certificate can be issued here until it is restored")
    folder.chmod(0o700)


def check_bridged() -> None:
    """Renew the certificates for health checks of two bridged brokers.

    End if files of one of them are missing, or if the volumes are those of the plain stack.
    """
    needed = ("mosquitto.conf", "acl", "tls/server.key")
    wanted = {"eucom": (*needed, "bridge/ndmc/client.key"), "ndmc": needed}
    files = [Path("brokers", side, "broker", name) for side, names in wanted.items() for name in names]
    if missing := [str(path) for path in files if not path.exists()]:
        end(
            f"missing: {', '.join(missing)}; restore the volumes of the brokers from a backup. These volumes may be "
            "those of the plain stack: give a project of its own, such as -p link-bridged"
        )
    for side, host in BRIDGED_BROKERS.items():
        home = Path("brokers", side)
        renew_health(home, host)
        give(home / "broker", BROKER)


def move_sessions() -> None:
    """Move the sessions that an earlier version kept beside the broker's key into their own volume."""
    before = EARLIER / "broker" / "data"
    for path in sorted(before.iterdir()) if before.is_dir() else ():
        shutil.move(path, Path("broker", "data", path.name))


if __name__ == "__main__":
    try:
        main()
    except (UserError, OSError) as error:
        end(str(error))
