"""Reads a side's own words for line tests from its settings (SPEC B2.4).

```toml
[[links]]
test_text = { ru = "Говорит Висбаден. Проверка линии. Как слышите?" }
answer_text = { ru = "Висбаден на связи. Слышу хорошо." }
```
"""

from __future__ import annotations

from msgspec import UNSET, UnsetType

from endpoints.config.link_file import require_canonical
from endpoints.errors import UserError
from protocol.core.duty import OwnWords
from protocol.phrases import phrase
from protocol.wire.messages import Texts
from protocol.wire.policy import Terms


def own_words(test_text: Texts | UnsetType, answer_text: Texts | UnsetType, terms: Terms, *, at: str) -> OwnWords:
    """Return the words in the test language of a link's terms; those that are absent are the policy's.

    Args:
        test_text: what this side says in the tests that it places, by language.
        answer_text: what it says in its answers, by language.
        terms: the link's.
        at: the table that has them, for errors.

    Raises UserError, which names the key.
    """
    language = terms.policy.test_language
    chosen: dict[str, str] = {}
    for key, texts in (("test_text", test_text), ("answer_text", answer_text)):
        if texts is UNSET:
            continue
        require_canonical(texts, f"{at}.{key}")
        if language not in texts:
            raise UserError(
                phrase(
                    "{at}.{key}: only in {texts}, but line tests on link {link} are in {language}; add "
                    "{key}.{language}, or remove {key} to use the policy's",
                    at=at,
                    key=key,
                    texts=", ".join(texts),
                    link=terms.link,
                    language=language,
                )
            )
        chosen[key] = texts[language]
    return OwnWords(**chosen)
