import pytest

from endpoints.errors import UserError
from load.applicable import require_applicable
from load.plan import SweptOption, What


@pytest.mark.parametrize(
    ("given", "what", "sweep", "running", "said"),
    [
        ({"slo"}, "replay", None, False, "--slo: has no effect with --what replay"),
        ({"report", "count", "links"}, "verify", None, False, "--links: has no effect with --what verify"),
        ({"rate"}, "links", None, False, "--rate: has no effect with --what links"),
        (set(), "links", None, False, "--what links: give the number of links"),
        ({"sweep"}, "control", "rate", False, "--sweep: has no effect with --what control"),
        ({"count"}, "exchange", None, False, "--count: has no effect with --what exchange"),
        ({"rate"}, "exchange", "rate", False, "--rate: has no effect with --sweep rate"),
        ({"baseline"}, "exchange", "size", False, "--baseline: has no effect with --sweep size"),
        ({"regress"}, "exchange", None, False, "--regress: give an earlier summary.json"),
        ({"folder"}, "exchange", None, True, "--folder: running endpoints have folders of their own"),
        ({"link"}, "exchange", None, False, "--link: name two running endpoints"),
    ],
)
def test_an_option_without_effect_is_refused(
    given: set[str], what: What, sweep: SweptOption | None, running: bool, said: str
) -> None:
    with pytest.raises(UserError, match=said):
        require_applicable(given, what, sweep, running=running)


@pytest.mark.parametrize(
    ("given", "what", "sweep", "running"),
    [
        ({"count", "report", "json", "lang", "folder"}, "replay", None, False),
        ({"links", "duration"}, "links", None, False),
        ({"window", "slo", "baseline", "regress", "seed"}, "exchange", None, False),
        ({"sweep", "rate", "size"}, "exchange", "links", False),
        ({"link", "rate"}, "exchange", None, True),
    ],
)
def test_other_options_are_taken(given: set[str], what: What, sweep: SweptOption | None, running: bool) -> None:
    require_applicable(given, what, sweep, running=running)
