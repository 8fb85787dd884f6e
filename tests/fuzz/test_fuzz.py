"""Every parser of untrusted bytes accepts its corpus, mutations of it, and any bytes."""

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).parent / "corpus"
EXAMPLES = 150


def corpus(name: str) -> list[bytes]:
    return [path.read_bytes() for path in sorted((CORPUS / name).iterdir())]


def mutated(data: bytes, other: bytes, seed: int) -> bytes:
    """Return `data` with a few changes: flipped bits, cuts, repeats, pieces of `other`, bytes that break parsers."""
    chance = random.Random(seed)
    altered = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at = chance.randint(0, len(altered))
        length = chance.choice((0, 1, 1, 2, 8, 64))
        piece = chance.randint(0, len(other))
        put: bytes = chance.choice(
            (
                b"",
                b"\0",
                b"\xff",
                b"\n",
                b'"',
                b"[" * 40,
                b"9" * 20,
                b"-1",
                b"1e9",
                b"null",
                b"\xd0\x81",
                b"\xcc\x81",
                b"\xf0\x9f\xbf\xbe",
                b"\\ud800",
                bytes(altered[at : at + length]) * 3,
                other[piece : piece + 80],
                bytes([altered[at] ^ 1 << chance.randrange(8)]) if at < len(altered) else b"{",
            )
        )
        altered[at : at + length] = put
    return bytes(altered)


@pytest.mark.parametrize("name", list(TARGETS))
def test_targets_accept_their_corpus(name: str) -> None:
    for data in corpus(name):
        TARGETS[name](data)


@pytest.mark.parametrize("name", list(TARGETS))
@settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(data=st.data())
def test_targets_accept_mutations_of_their_corpus(name: str, data: st.DataObject) -> None:
    seeds = st.sampled_from(corpus(name))
    TARGETS[name](mutated(data.draw(seeds), data.draw(seeds), data.draw(st.integers(0, 2**32))))


@pytest.mark.parametrize("name", list(TARGETS))
@settings(max_examples=EXAMPLES, derandomize=True, database=None)
@given(data=st.binary(max_size=200))
def test_targets_accept_any_bytes(name: str, data: bytes) -> None:
    TARGETS[name](data)
