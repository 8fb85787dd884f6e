"""The note of a comparison by voice, and what a start makes of it (SPEC E1.8)."""

from pathlib import Path

import pytest
from msgspec import structs

from endpoints.config import confirmations, default_terms, settings
from endpoints.config.confirmations import ComparisonNote
from endpoints.config.settings import EndpointSettings
from endpoints.errors import UserError
from endpoints.runtime.start_checks import comparison
from protocol.core.duty import Confirmation
from protocol.core.link import Link
from protocol.core.start_events import EpochOpened
from protocol.wire.instants import parsed
from tests.support.installation import provisioned

AT = parsed("2022-11-29T08:00:00.000Z")
SIDES = ("eucom", "ndmc")


@pytest.fixture
def eucom(tmp_path: Path) -> EndpointSettings:
    """The settings of one side of an actual link."""
    provisioned(
        tmp_path / "x",
        [default_terms.terms("eucom-ndmc", *SIDES, "actual")],
        {side: default_terms.party(side) for side in SIDES},
        at=AT,
        officers={side: ["watch-1"] for side in SIDES},
    )
    return settings.load_endpoint(tmp_path / "x" / "eucom" / "endpoint.toml")


def note_of(eucom: EndpointSettings, **changes: str) -> ComparisonNote:
    fields = {"digest": eucom.links[0].content.digest, "officer": "watch-1", **changes}
    return ComparisonNote(link="eucom-ndmc", compared_at="2022-11-29T08:00:00.000Z", first_word=7, **fields)


def core() -> Link:
    return Link.new("eucom-ndmc", "eucom")


def test_an_actual_link_opens_no_epoch_that_nobody_has_confirmed(eucom: EndpointSettings) -> None:
    """SPEC E1.8"""
    own, (link,) = eucom.path.parent, eucom.links
    with pytest.raises(
        UserError, match=r"link eucom-ndmc is actual.*epoch 1.*deconflict link confirm .*/endpoint\.toml --officer ID$"
    ):
        comparison(eucom, link, core())
    for other in (note_of(eucom, digest="0" * 64), note_of(eucom, officer="nobody")):
        confirmations.save(own, other)
        with pytest.raises(UserError, match="is actual"):
            comparison(eucom, link, core())
    confirmations.save(own, note_of(eucom))
    expected = Confirmation("watch-1", "2022-11-29T08:00:00.000Z", link.content.digest, 7)
    assert comparison(eucom, link, core()) == expected


def test_an_epoch_that_is_open_runs_on(eucom: EndpointSettings) -> None:
    """SPEC E1.8"""
    (link,) = eucom.links
    opened = core()
    opened.handle(EpochOpened(at=AT, mono=0, terms=link.content.terms))
    assert comparison(eucom, link, opened) is None


def test_the_next_epoch_needs_a_confirmation_of_its_own(eucom: EndpointSettings) -> None:
    """SPEC E1.8: also if the file of the open epoch was confirmed."""
    (link,) = eucom.links
    opened = core()
    opened.handle(EpochOpened(at=AT, mono=0, terms=link.content.terms))
    confirmations.save(eucom.path.parent, note_of(eucom))
    following = structs.replace(link.content, terms=structs.replace(link.content.terms, epoch=2))
    with pytest.raises(UserError, match=r"is actual.*confirmed epoch 2"):
        comparison(eucom, structs.replace(link, content=following), opened)


def test_an_exercise_needs_no_confirmation(tmp_path: Path) -> None:
    """SPEC E1.8"""
    terms = default_terms.terms("eucom-ndmc", *SIDES, "exercise")
    parties = {side: default_terms.party(side) for side in SIDES}
    provisioned(tmp_path / "x", [terms], parties, at=AT, officers={side: ["watch-1"] for side in SIDES})
    eucom = settings.load_endpoint(tmp_path / "x" / "eucom" / "endpoint.toml")
    assert comparison(eucom, eucom.links[0], core()) is None


def test_a_note_is_private_and_replaces_an_older_one(eucom: EndpointSettings) -> None:
    own = eucom.path.parent
    assert confirmations.load(own, "eucom-ndmc") is None
    for officer in ("watch-1", "watch-2"):
        confirmations.save(own, note_of(eucom, officer=officer))
    assert confirmations.load(own, "eucom-ndmc") == note_of(eucom, officer="watch-2")
    path = confirmations.path_of(own, "eucom-ndmc")
    assert [each.name for each in path.parent.iterdir()] == ["eucom-ndmc.json"]
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o644)
    with pytest.raises(UserError, match="note of a comparison"):
        confirmations.load(own, "eucom-ndmc")


@pytest.mark.parametrize(
    "change",
    [
        b"",
        b"{}",
        b'"digest":"x"',
        b'"link":"other"',
        b'"compared_at":"2022-13-29T08:00:00.000Z"',
        b'"compared_at":"9999-12-31T08:00:00.000Z"',
        b'"first_word":17',
    ],
)
def test_a_malformed_note_is_one_line(eucom: EndpointSettings, change: bytes) -> None:
    own = eucom.path.parent
    confirmations.save(own, note_of(eucom))
    path = confirmations.path_of(own, "eucom-ndmc")
    data = path.read_bytes()
    key = change.partition(b":")[0]
    # the last of two members counts
    path.write_bytes(data.replace(b"}", b"," + change + b"}") if key.startswith(b'"') else change)
    with pytest.raises(UserError, match=r"eucom-ndmc\.json: not a note of a comparison on link eucom-ndmc; remove it"):
        confirmations.load(own, "eucom-ndmc")
