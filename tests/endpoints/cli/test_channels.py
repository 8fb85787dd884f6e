"""The other channels: on the card, below critical alarms, and where something is out of scope."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from rich.console import Console

from endpoints.cli import main as cli
from endpoints.cli.alarms import print_alarms
from endpoints.cli.channels import card
from endpoints.config import default_terms
from endpoints.config.link_file import LinkFile
from endpoints.texts.i18n import translator
from protocol.wire.instants import parsed
from protocol.wire.policy import Channel

EN, RU = translator("en"), translator("ru")
TERMS = default_terms.terms()
LINK = LinkFile(terms=TERMS, parties={side: default_terms.party(side) for side in ("eucom", "ndmc")})


def test_the_card_has_every_channel_in_both_languages_and_fits_on_paper() -> None:
    lines = card(LINK, [RU, EN])

    assert max(map(len, lines)) <= 80
    assert len(lines) < 60
    text = "\n".join(lines)
    assert text.index("ДРУГИЕ КАНАЛЫ СВЯЗИ") < text.index("OTHER CHANNELS of the line eucom-ndmc, epoch 1")
    ministers = lines.index("ministers")
    assert lines[ministers + 1 : ministers + 3] == [
        "    Министр обороны США — министр обороны России",
        "    Secretary of Defense - Minister of Defence",
    ]
    for channel in TERMS.policy.channels:
        assert channel.id in lines
        for name in channel.name.values():
            assert name in text


def test_a_channels_name_cannot_begin_another_line_of_the_card() -> None:
    evil = Channel(id="evil", name={"de": "Rot\nministers\n    +7 000 \x1b[8m", "en": "x" * 200})
    policy = structs.replace(TERMS.policy, channels=(evil,))
    lines = card(structs.replace(LINK, terms=structs.replace(TERMS, policy=policy)), [EN, RU])

    assert "ministers" not in lines
    assert max(map(len, lines)) <= 80
    assert all(line.isprintable() for line in lines)


def test_a_policy_without_channels_says_so() -> None:
    policy = structs.replace(TERMS.policy, channels=())
    lines = card(structs.replace(LINK, terms=structs.replace(TERMS, policy=policy)), [EN, RU])
    assert "    The policy of this line names no other channel." in lines


def test_the_card_needs_no_running_process(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*words: object) -> str:
        with pytest.raises(SystemExit) as exited:
            cli.main([str(word) for word in words])
        assert exited.value.code == 0
        return capsys.readouterr().out

    run("init", tmp_path / "try")
    for config in ("eucom/endpoint.toml", "watch/watch.toml"):
        assert "ДРУГИЕ КАНАЛЫ СВЯЗИ" in run("channels", tmp_path / "try" / config, "--lang", "ru").splitlines()[1]
    document = json.loads(run("channels", tmp_path / "try" / "ndmc" / "endpoint.toml", "--json"))
    assert document["link"] == "eucom-ndmc"
    assert [each["id"] for each in document["channels"]] == ["ministers", "chiefs", "advisers"]


def printed(*alarms: dict[str, Any]) -> str:
    out = Console(file=io.StringIO(), width=80)
    print_alarms(out, list(alarms), EN, "UTC", parsed("2022-11-29T16:00:00.000Z"), channels=TERMS.policy.channels)
    assert isinstance(out.file, io.StringIO)
    return out.file.getvalue()


ALARM = {
    "code": "broker_unreachable",
    "severity": "critical",
    "subject": "broker",
    "raised_at": "2022-11-29T16:00:00.000Z",
    "detected_at": "2022-11-29T16:00:00.000Z",
}


def test_the_channels_are_named_once_below_critical_alarms_that_last() -> None:
    both = printed(ALARM, ALARM | {"subject": "publish/message"})
    assert both.count("use the other channels:") == 1
    assert "\n    ministers (Secretary of Defense - Minister of Defence)\n" in both
    assert "channels" not in printed(ALARM | {"severity": "major"})
    assert "channels" not in printed(ALARM | {"cleared_at": "2022-11-29T16:00:01.000Z"})
