"""Terms that a service hands in: what cannot be hashed cannot be agreed upon (SPEC E1.2)."""

from __future__ import annotations

import pytest

from protocol.core.events import EpochOpened
from protocol.core.link import Link
from protocol.errors import LocalProtocolError
from tests.support.world import START, TERMS, terms


def test_terms_without_a_digest_open_no_epoch() -> None:
    """A letter in two characters: the link file's reader says so too, but a core takes nobody's word."""
    link = Link.new(TERMS.link, "eucom")
    with pytest.raises(LocalProtocolError, match=r"terms without a digest: .* normalization form C") as refused:
        link.handle(EpochOpened(at=START, mono=1, terms=terms(test_text="Cafe\u0301")))
    assert refused.value.code == "wrong_event"
    assert link.terms is None
