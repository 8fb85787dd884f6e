"""Containers that are the machines of a guide: they share a network and the files handed over, and nothing else."""

from __future__ import annotations

import io
import re
import secrets
import signal
import tarfile
import time
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Self

from tests.guides.guide import GuideError, HandOver
from tests.support.engine import docker, docker_bytes
from tests.support.terminal import COLUMNS, ROWS, Terminal

ROOT = Path(__file__).parents[2]
WITHIN_S = 60.0
"""For a command, for what is waited for, and for a process that is stopped."""
_BUILD_WITHIN_S = 600
_POLL_S = 0.02
_PRIVATE_KEY = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----\s(.+?)-----END", re.DOTALL)
_ALONE = 0o077
"""The rights of others: a file without any of them is private."""
_PROMPT = re.compile(r"%%(\d+)%%\Z")


def party(machine: str) -> str:
    """Return whose machine it is: that of `eucom-new` is `eucom`."""
    return machine.partition("-")[0]


class Shell:
    """A shell on a machine, on a terminal of its own."""

    def __init__(self, container: str) -> None:
        self._terminal = Terminal(command=("docker", "exec", "-it", container, "bash", "--norc", "--noediting"))
        # written so that the prompt itself does not occur in the line, which the terminal shows
        self._terminal.type(f"stty -echo cols {COLUMNS} rows {ROWS}; PS2= PS1='%''%$?%''%'\n")
        self._begin = 0
        self.wait(lambda _: self.exit_code is not None)

    def begin(self, line: str) -> None:
        """Type a command; what was printed before is forgotten."""
        self._begin = len(self._terminal.text)
        self._terminal.type(line + "\n")

    @property
    def exit_code(self) -> int | None:
        """The exit code of the command, None while it runs."""
        prompt = _PROMPT.search(self._terminal.text, self._begin)
        return prompt and int(prompt[1])

    @property
    def printed(self) -> str:
        """What the command has printed so far."""
        return _PROMPT.sub("", self._terminal.text[self._begin :])

    def type(self, text: str) -> None:
        """Type `text`."""
        self._terminal.type(text)

    def wait(self, condition: Callable[[str], bool], *, within_s: float = WITHIN_S) -> bool:
        """Wait until `condition` holds for what is printed; return whether it does by the end or in time."""
        deadline = time.monotonic() + within_s
        while not condition(self.printed):
            if self.exit_code is not None or time.monotonic() > deadline:
                # once more: both can have come since
                return condition(self.printed)
            time.sleep(_POLL_S)
        return True

    def close(self) -> None:
        """End the terminal; the machine kills what still runs in it."""
        self._terminal.popen.send_signal(signal.SIGTERM)
        self._terminal.end()


class Image:
    """What the machines are made from; as a context manager, builds it and removes its names at the end."""

    def __init__(self) -> None:
        self.name = f"link-guide:{secrets.token_hex(4)}"
        self._link = f"{self.name}-link"

    def __enter__(self) -> Self:
        docker("build", "--quiet", "--tag", self._link, str(ROOT), within_s=_BUILD_WITHIN_S)
        docker(
            *("build", "--quiet", "--build-arg", f"LINK={self._link}", "--tag", self.name, "-"),
            stdin=Path(__file__).with_name("Dockerfile").read_bytes(),
            within_s=_BUILD_WITHIN_S,
        )
        return self

    def __exit__(self, *_: object) -> None:
        # a container that is kept still has the image, without a name; the layers below are the cache of the next build
        docker("rmi", "--force", "--no-prune", self.name, self._link)


class Machines:
    """The machines of a guide, each made when it is first named; as a context manager, removes them at the end."""

    def __init__(self, image: Image, *, keep: bool = False) -> None:
        self._image = image.name
        self._name = f"link-guide-{secrets.token_hex(4)}"
        self._keep = keep
        self._shells: dict[str, Shell] = {}
        self._own: dict[tuple[str, str], Shell] = {}

    def __enter__(self) -> Self:
        # internal: nothing leaves it
        docker("network", "create", "--internal", self._name)
        return self

    def __exit__(self, *_: object) -> None:
        for shell in (*self._shells.values(), *self._own.values()):
            shell.close()
        if self._keep:
            return
        if self._shells:
            docker("rm", "--force", "--volumes", *map(self.container, self._shells))
        docker("network", "rm", self._name)

    def container(self, machine: str) -> str:
        """Return the name of a machine's container."""
        return f"{self._name}-{machine}"

    def shell(self, machine: str) -> Shell:
        """Return the first terminal of a machine, which is made if it is new."""
        if machine not in self._shells:
            rights = ("--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--memory", "1g")
            place = ("--network", self._name, "--network-alias", machine, "--hostname", machine)
            docker(
                *("run", "--detach", "--init", "--name", self.container(machine), *rights, *place),
                self._image,
            )
            self._shells[machine] = Shell(self.container(machine))
        return self._shells[machine]

    def own_shell(self, machine: str, command: str) -> Shell:
        """Open a further terminal of a machine, for a command that goes on."""
        self.shell(machine)
        shell = self._own[machine, command] = Shell(self.container(machine))
        return shell

    def running(self, machine: str, command: str) -> Shell | None:
        """Return the terminal in which a command goes on, None if there is none."""
        return self._own.get((machine, command))

    def closed(self, machine: str, command: str) -> None:
        """Close the terminal of a command that has ended."""
        self._own.pop((machine, command)).close()

    def files(self, machine: str, path: str = "") -> dict[str, tuple[tarfile.TarInfo, bytes]]:
        """Return the files below `path`, by their path from the home folder. Raises AssertionError if there is none."""
        self.shell(machine)
        # what a running process replaces meanwhile is no failure
        script = 'tar -c "./$1" 2>/dev/null || [ $? -eq 1 ]'
        packed = docker_bytes("exec", self.container(machine), "bash", "-c", script, "tar", path)
        found = {}
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            for member in archive:
                content = archive.extractfile(member)
                if content is not None:
                    found[member.name.removeprefix("./")] = (member, content.read())
        return found

    def hand_over(self, handed: HandOver) -> None:
        """Copy the file or folder. Raises GuideError if it is not there, or private and the other party's then."""
        path, target = handed.path.rstrip("/"), PurePosixPath(handed.target)
        try:
            found = self.files(handed.source, path)
        except AssertionError:
            raise GuideError(f"{handed.at}: {handed.source} has no {handed.path}") from None
        for name, (info, content) in found.items():
            private = not info.mode & _ALONE or bool(_PRIVATE_KEY.search(content))
            if private and party(handed.source) != party(handed.to):
                raise GuideError(f"{handed.at}: {name} is private to {handed.source}; {handed.to} must not have it")
            self._put(handed.to, target / PurePosixPath(name).relative_to(path), info, content)

    def _put(self, machine: str, path: PurePosixPath, info: tarfile.TarInfo, content: bytes) -> None:
        self.shell(machine)
        script = 'mkdir -p "$(dirname "$1")" && cat >"$1" && chmod "$2" "$1"'
        docker(
            *("exec", "--interactive", self.container(machine), "bash", "-c", script, "put", str(path)),
            f"{info.mode:o}",
            stdin=content,
        )

    def strangers_keys(self) -> list[str]:
        """Return where a private key or a credential of one party lies on a machine of another."""
        everything = {machine: self.files(machine) for machine in self._shells}
        faults = []
        for owner, files in everything.items():
            secret_parts = {
                secret: name
                for name, (_, content) in files.items()
                for secret in (
                    *(key.strip() for key in _PRIVATE_KEY.findall(content)),
                    *([content.strip()] if name.endswith(".credential") else []),
                )
            }
            faults += [
                f"{owner}:{secret_parts[secret]} is in {other}:{name}"
                for other in everything
                if party(other) != party(owner)
                for name, (_, content) in everything[other].items()
                for secret in secret_parts
                if secret in content
            ]
        return faults
