"""The reference in docs/reference/ is what the types of settings and the commands say now."""

from __future__ import annotations

import re

import pytest

from endpoints.cli.commands import COMMANDS
from tests.reference.make import FOLDER, commands, configuration


def kept(name: str) -> str:
    return (FOLDER / name).read_text()


def test_the_configuration_reference_is_up_to_date() -> None:
    assert kept("configuration.md") == configuration(), "run: make reference"


def test_every_key_says_what_it_means() -> None:
    assert not re.findall(r"^\| `\w+` \|.*\|  \|$", kept("configuration.md"), re.MULTILINE)


@pytest.mark.timeout(300)
def test_the_command_reference_is_up_to_date() -> None:
    assert kept("commands.md") == commands(), "run: make reference"


def test_every_command_is_in_the_reference() -> None:
    page = kept("commands.md")
    missing = [
        each.words for group in COMMANDS.values() for each in group if f"### deconflict {each.words}\n" not in page
    ]
    assert not missing
