"""A bug is found by its definition and its code, wherever they stand and however they are formatted."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.planted.bug import Bug, StaleBugError, paths, planted

MODULE = """\
class Inbox:
    def take(self, run: list[int], upto: int) -> int:
        here = "Москва"; more = upto + 1
        if run:
            self.first(run)
            # and
            self.last(run)
        if upto > 1:
            return more
        return 2 * len(
            run  # of numbers
        )

    @property
    def size(self) -> int:
        return 1

    @size.setter
    def size(self, size: int) -> None:
        self.kept = size


STATES: dict[tuple[str, str], str] = {
    ("sent", "received"): "received",
    ("sent", "failed"): "sent",
    ("received", "failed"): "received",
}


def first(run: list[int]) -> int:
    return run[0] if run else len(run)
"""


def edit(folder: Path, where: str, old: str, new: str) -> str:
    """Return what becomes of MODULE."""
    path = folder / "protocol" / "deep" / "inbox.py"
    path.parent.mkdir(parents=True)
    path.write_text(MODULE, "utf-8")
    found, text = planted(Bug("a bug", where, old, new, ""), folder)
    assert found == path
    return text


@pytest.mark.parametrize(
    ("where", "old", "new", "was", "becomes"),
    [
        pytest.param("Inbox.take", "upto>1", "upto > 2", "upto > 1", "(upto > 2)", id="an expression"),
        pytest.param("Inbox.take", "upto + 1", "upto", "upto + 1", "(upto)", id="behind characters of several bytes"),
        pytest.param(
            *("Inbox.take", "len( run )", "len(run) + 1", "len(\n            run  # of numbers\n        )"),
            "(len(run) + 1)",
            id="over several lines, below a stronger operator",
        ),
        pytest.param("Inbox.size", "self.kept = size", "pass", "self.kept = size", "pass", id="the setter of two"),
        pytest.param(
            *(
                "Inbox.take",
                "self.first(run)\nself.last(run)",
                "for one in run:\n    self.last([one])\nself.first(run)",
            ),
            "self.first(run)\n            # and\n            self.last(run)",
            "for one in run:\n                self.last([one])\n            self.first(run)",
            id="several statements",
        ),
        pytest.param(
            *("Inbox.take", "if run:\n    self.first(run)\n    self.last(run)", "pass"),
            "if run:\n            self.first(run)\n            # and\n            self.last(run)",
            "pass",
            id="a statement with a block",
        ),
        pytest.param("Inbox.take", "if run: ...", "if not run: ...", "if run:", "if (not run):", id="a condition"),
        pytest.param(
            *("STATES", '{("sent", "failed"): "sent"}', '{("sent", "failed"): "received"}'),
            '("sent", "failed"): "sent",\n    ',
            "('sent', 'failed'): 'received', ",
            id="an entry",
        ),
        pytest.param(
            "STATES", "{('sent', 'failed'): 'sent'}", "{}", '("sent", "failed"): "sent",\n    ', "", id="no entry"
        ),
        pytest.param(
            *("STATES", '{("received", "failed"): "received"}', "{}", '("received", "failed"): "received",\n', ""),
            id="no last entry",
        ),
        pytest.param("Inbox", "upto > 1", "upto > 2", "upto > 1", "(upto > 2)", id="anywhere in a class"),
    ],
)
def test_one_place_changes_and_the_rest_keeps_its_bytes(
    where: str, old: str, new: str, was: str, becomes: str, tmp_path: Path
) -> None:
    assert MODULE.count(was) == 1
    assert edit(tmp_path, where, old, new) == MODULE.replace(was, becomes)


@pytest.mark.parametrize(
    ("where", "old", "new", "says"),
    [
        pytest.param("Inbox.take", "run", "[]", "stands 4 times in Inbox.take, not once; quote more", id="ambiguous"),
        pytest.param("Inbox.take", "upto > 3", "upto", "stands 0 times in Inbox.take, not once; .* nowhere", id="gone"),
        pytest.param(
            "Outbox.take", "upto > 1", "upto", "stands in Inbox.take: is it there now", id="another definition"
        ),
        pytest.param("take", "upto > 1", "upto", "stands in Inbox.take: is it there now", id="not a qualified name"),
        pytest.param("Inbox.take", "self.last(run)\nself.first(run)", "pass", "stands nowhere", id="another order"),
        pytest.param("STATES", '{("sent", "failed"): "failed"}', "{}", "stands nowhere", id="another entry"),
        pytest.param("Inbox.take", "upto > 1", "pass", "stands nowhere", id="an expression instead of a statement"),
    ],
)
def test_a_stale_bug_says_what_to_do(where: str, old: str, new: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(StaleBugError, match=f"^a bug: its code .*{says}"):
        edit(tmp_path, where, old, new)


def test_definitions_of_one_name_count_together(tmp_path: Path) -> None:
    """The same code in two modules is ambiguous; a second definition without it is not."""
    for package, code in (("broker", "a = 1"), ("scenario", "a = 2")):
        (tmp_path / package).mkdir()
        (tmp_path / package / "module.py").write_text(f"def f() -> None:\n    {code}\n")

    path, _ = planted(Bug("one", "f", "a = 2", "a = 3", ""), tmp_path)
    assert path == tmp_path / "scenario" / "module.py"

    (tmp_path / "broker" / "other.py").write_text("def f() -> None:\n    a = 2\n")
    with pytest.raises(StaleBugError, match="stands 2 times in f"):
        planted(Bug("two", "f", "a = 2", "a = 3", ""), tmp_path)


def test_tests_are_found_wherever_they_stand(tmp_path: Path) -> None:
    folder = tmp_path / "tests" / "deep"
    folder.mkdir(parents=True)
    (folder / "test_one.py").touch()
    assert paths("test_one test_one::test_a", tmp_path) == ["tests/deep/test_one.py", "tests/deep/test_one.py::test_a"]
    with pytest.raises(StaleBugError, match=r"test_two\.py stands 0 times below tests/"):
        paths("test_two", tmp_path)

    (tmp_path / "tests" / "test_one.py").touch()
    with pytest.raises(StaleBugError, match=r"test_one\.py stands 2 times below tests/"):
        paths("test_one", tmp_path)
