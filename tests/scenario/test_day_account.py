"""The accounts of a simulated day in `docs/timeline/` are what the command prints now."""

from __future__ import annotations

import pytest

from protocol.record.timeline import Account
from scenario.simulation.simulate import quiet
from tests.support.day_account import FOLDER, LANGUAGES, WIDTH, render, the_day


@pytest.fixture(scope="module")
def account() -> Account:
    quiet()
    return the_day()


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_account_in_the_documents_is_up_to_date(account: Account, language: str) -> None:
    kept = (FOLDER / f"one-day.{language}.txt").read_text()
    assert render(account, language) == kept, "run: python -m tests.support.day_account"
    assert max(map(len, kept.splitlines())) <= WIDTH
