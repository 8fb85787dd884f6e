from __future__ import annotations

from msgspec import structs

from endpoints.cli.schedule import who_places
from endpoints.config import default_terms
from endpoints.config.link_file import LinkFile
from endpoints.texts.i18n import translator

EN = translator("en")


def test_the_schedule_says_who_places_the_tests_if_officers_do() -> None:
    terms = default_terms.terms()
    parties = {side: default_terms.party(side) for side in ("eucom", "ndmc")}
    by_service = LinkFile(terms=terms, parties=parties)
    policy = structs.replace(terms.policy, placed_by="officer")
    by_officer = structs.replace(by_service, terms=structs.replace(terms, policy=policy))

    assert who_places(by_service, "eucom", EN) == ""
    assert who_places(by_officer, "eucom", EN) == (
        "an officer of this side places each test, within 15 minutes of its slot: deconflict test"
    )
    assert who_places(by_officer, "ndmc", EN) == "an officer of eucom places each test, within 15 minutes of its slot"
