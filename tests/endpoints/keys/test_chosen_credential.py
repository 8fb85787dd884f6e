from __future__ import annotations

import pytest

from endpoints.errors import UserError
from endpoints.keys import credentials
from endpoints.keys.chosen_credential import check_chosen

KNOWN = ("watch-1", "Weber", "eucom", "deconflict")


@pytest.mark.parametrize(
    "credential",
    [
        "correct horse battery staple",
        "тихий вечер на реке",
        "Zürich am 1. Mai, früh",
        "%k#9!x7^Qw)2_zP",
        "watch-1 likes green tea",
        "晴れた日には山へ行きたいと思う人",
    ],
)
def test_words_and_signs_may_be_chosen(credential: str) -> None:
    check_chosen(credential, KNOWN)


def test_what_is_generated_may_be_chosen() -> None:
    for _ in range(20):
        check_chosen(credentials.generate(), KNOWN)


@pytest.mark.parametrize(
    ("credential", "complaint"),
    [
        ("", "has 0 characters; choose at least 15"),
        ("fourteen chars", "has 14 characters; choose at least 15"),
        # composed, it is shorter
        ("u\u0308" * 10, "has 10 characters"),
        ("x" * 1_025, "longer than 1024 bytes"),
        ("correct horse\tbattery", "cannot be seen"),
        ("correct horse \u202ebattery", "cannot be seen"),
        ("correct horse \x1b[8m battery", "cannot be seen"),
        *(
            (easy, "easy to guess")
            for easy in (
                "a" * 20,
                "-" * 20,
                "password1password1",
                "Summer2026!Summer2026!",
                "qwertyuiopasdfghjkl",
                "poiuytrewqlkjhgfdsa",
                "йцукенгшщзхъфывапр",
                "1234567890abcdefgh",
                "Password123456789",
                "watch-1 watch-1 watch-1",
                "Weber Eucom Watch-1",
                "DECONFLICT-eucom-2026",
            )
        ),
    ],
)
def test_what_is_short_or_easy_to_guess_is_refused_and_never_repeated(credential: str, complaint: str) -> None:
    with pytest.raises(UserError, match=complaint) as refused:
        check_chosen(credential, KNOWN)

    assert len(credential) < 2 or credential not in str(refused.value)
