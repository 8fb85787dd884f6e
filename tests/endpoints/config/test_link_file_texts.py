"""A policy text without a canonical form has no digest, so the link file refuses it and names its key."""

import unicodedata
from pathlib import Path

import pytest
from msgspec import structs

from endpoints.config import link_file
from endpoints.errors import UserError
from protocol.wire.policy import Channel
from tests.support.exchange import link_file as linked


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (unicodedata.normalize("NFD", "Говорит Висбаден: й"), "normalization form C"),
        ("a\x7fb", "control"),
        ("a\rb", "control"),
        ("a\U0001fae8b", "U+1FAE8 is not assigned in Unicode 14.0"),
    ],
)
def test_a_text_without_a_canonical_form_is_refused_by_its_key(text: str, why: str, tmp_path: Path) -> None:
    content = linked()
    path = tmp_path / "link.toml"
    for key, change in (
        ("policy.test_text", {"test_text": text}),
        ("policy.channels[0].name.ru", {"channels": (Channel(id="x", name={"ru": text}),)}),
    ):
        policy = structs.replace(content.terms.policy, **change)
        path.write_bytes(link_file.dump(structs.replace(content, terms=structs.replace(content.terms, policy=policy))))

        with pytest.raises(UserError) as refused:
            link_file.load(path)

        assert f"{path}: {key}: " in str(refused.value)
        assert why in str(refused.value)
