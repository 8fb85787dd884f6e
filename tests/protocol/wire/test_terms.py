"""A core refuses terms that cannot be hashed (SPEC E1.2)."""

from __future__ import annotations

import pytest

from protocol.core.link import Link
from protocol.core.start_events import EpochOpened
from protocol.errors import LocalProtocolError
from tests.support.world import START, TERMS, terms


def test_a_core_refuses_terms_that_have_no_digest() -> None:
    """A text that is not in NFC is refused by the link file's reader too, but a core does not rely on it."""
    link = Link.new(TERMS.link, "eucom")
    with pytest.raises(LocalProtocolError, match=r"terms without a digest: .* normalization form C") as refused:
        link.handle(EpochOpened(at=START, mono=1, terms=terms(test_text="Cafe\u0301")))
    assert refused.value.code == "wrong_event"
    assert link.terms is None
