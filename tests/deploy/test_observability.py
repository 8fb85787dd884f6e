"""Rules, dashboard and runbook name what exists: metrics, alarm codes, entries; promtool parses and tests every rule.

promtool is a part of Debian's package `prometheus`, which tools/setup installs. Without it these tests fail.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from endpoints.metrics import families
from endpoints.metrics.families import FAMILIES, OF_THE_SYSTEM, PREFIX
from protocol.core.alarms import AlarmCode
from tests.support import metrics_table

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy" / "prometheus" / "rules.yml"
RULES_TEST = Path(__file__).with_name("rules.test.yml")
PROMETHEUS = ROOT / "deploy" / "prometheus" / "prometheus.yml"
DASHBOARD = ROOT / "deploy" / "grafana" / "deconfliction-link.json"
PAGE = (ROOT / "docs" / "operations.md").read_text()
PARTS = ("Meaning", "Officer", "Engineer", "Other channels")
_METRIC = re.compile(rf"\b{PREFIX}\w+")
_LABEL_MATCH = re.compile(r'(\w+)\s*=~?\s*"')


def promtool(*arguments: str | Path) -> str:
    done = subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def known_series() -> set[str]:
    found = {f"{PREFIX}{name}" for name in OF_THE_SYSTEM}
    for family in FAMILIES:
        histogram = family.type == "histogram"
        found |= {f"{family.name}_{part}" for part in ("bucket", "sum", "count")} if histogram else {family.name}
    return found


def entries(chapter: str) -> dict[str, list[str]]:
    """Return the entries of a chapter of the page, each with the names of its parts."""
    text = PAGE.partition(f"\n## {chapter}\n")[2].partition("\n## ")[0]
    parts = re.split(r"^### `(\w+)`$", text, flags=re.MULTILINE)[1:]
    return {
        code: re.findall(r"^- \*\*(.+?):\*\*", body, re.MULTILINE)
        for code, body in zip(parts[::2], parts[1::2], strict=True)
    }


# --- the runbook --------------------------------------------------------------------------------------------------


def test_every_alarm_code_has_an_entry_and_every_entry_is_a_code() -> None:
    assert list(entries("Alarms")) == [code.value for code in AlarmCode]


@pytest.mark.parametrize("chapter", ["Alarms", "Rules"])
def test_every_entry_has_all_parts_in_their_order(chapter: str) -> None:
    assert {code: parts for code, parts in entries(chapter).items() if tuple(parts) != PARTS} == {}


def test_the_table_of_metrics_is_that_of_the_code() -> None:
    assert metrics_table.renewed(PAGE) == PAGE, "run python -m tests.support.metrics_table"


def test_every_metric_that_the_page_names_exists() -> None:
    assert set(_METRIC.findall(PAGE)) <= known_series() | {family.name for family in FAMILIES}


# --- the registry -------------------------------------------------------------------------------------------------


def test_names_follow_the_conventions() -> None:
    names = [family.name for family in FAMILIES]
    assert len(set(names)) == len(names)
    for family in FAMILIES:
        assert re.fullmatch(rf"{PREFIX}[a-z0-9_]+", family.name)
        assert family.name.endswith("_total") == (family.type == "counter"), family.name
        assert not re.search(r"_(ms|milliseconds|minutes|hours|kb|mb|age)(_|$)", family.name)
        assert bool(family.buckets) == (family.type == "histogram")
        assert "\n" not in family.help


def test_the_codes_of_labels_are_all_codes() -> None:
    assert [code for code, _ in families.CODES] == [code.value for code in AlarmCode]


# --- the rules ----------------------------------------------------------------------------------------------------


def test_promtool_accepts_rules_and_configuration() -> None:
    promtool("check", "rules", RULES)
    promtool("check", "config", PROMETHEUS)


def test_every_rule_fires_when_it_should_and_not_before() -> None:
    assert "SUCCESS" in promtool("test", "rules", RULES_TEST)
    tested = {
        case["alertname"]
        for test in yaml.safe_load(RULES_TEST.read_text())["tests"]
        for case in test["alert_rule_test"]
    }
    assert tested == {rule["alert"] for rule in rules()}


def test_a_wrong_expectation_fails(tmp_path: Path) -> None:
    wrong = (
        RULES_TEST.read_text()
        .replace("../../deploy", str(ROOT / "deploy"))
        .replace("severity: none", "severity: major")
    )
    path = tmp_path / "rules.test.yml"
    path.write_text(wrong)
    done = subprocess.run(["promtool", "test", "rules", str(path)], capture_output=True, timeout=60, check=False)
    assert done.returncode != 0


def test_every_rule_has_a_summary_and_leads_to_an_entry_of_the_page() -> None:
    pages = {*entries("Rules"), *entries("Alarms"), "{{ $labels.code }}"}
    for rule in rules():
        assert rule["annotations"]["summary"]
        url = rule["annotations"]["runbook_url"]
        base, _, entry = url.partition("#")
        assert base == "{{ $externalLabels.docs }}/operations.md"
        assert entry in pages, url
    linked = {rule["annotations"]["runbook_url"].partition("#")[2] for rule in rules()}
    assert set(entries("Rules")) <= linked


def test_the_watchdog_always_fires() -> None:
    (watchdog,) = [rule for rule in rules() if rule["alert"] == "DeconflictionWatchdog"]
    assert (watchdog["expr"], watchdog.get("for")) == ("vector(1)", None)


def test_every_severity_of_an_alarm_has_a_rule() -> None:
    told = {rule["labels"]["severity"] for rule in rules() if "deconflict_alarms_active" in rule["expr"]}
    assert told == {severity for _, severity in families.CODES}


# --- the dashboard ------------------------------------------------------------------------------------------------


def expressions() -> Iterator[str]:
    """Yield every expression of the rules and of the dashboard, its variables filled in."""
    yield from (rule["expr"] for rule in rules())
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel["targets"]:
            yield target["expr"].replace("$__rate_interval", "5m").replace("$link", ".+")


def test_every_metric_and_label_of_an_expression_exists() -> None:
    known, labels = known_series(), {label for family in FAMILIES for label in family.labels}
    for expression in expressions():
        assert set(_METRIC.findall(expression)) <= known, expression
        assert set(_LABEL_MATCH.findall(expression)) <= {*labels, "job"}, expression


def test_promtool_parses_every_expression(tmp_path: Path) -> None:
    recorded = [{"record": f"e:{place}", "expr": expression} for place, expression in enumerate(expressions())]
    assert len(recorded) > 30
    path = tmp_path / "expressions.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": recorded}]}))
    promtool("check", "rules", path)


def test_the_dashboard_has_what_grafana_needs_and_its_panels_do_not_overlap() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    assert {"uid", "title", "schemaVersion", "templating", "time", "panels"} <= dashboard.keys()
    variables = {variable["name"] for variable in dashboard["templating"]["list"]}
    assert set(re.findall(r"\$\{?(\w+)", DASHBOARD.read_text())) <= variables | {"__rate_interval", "__all"}
    taken: set[tuple[int, int]] = set()
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in dashboard["panels"]:
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells


def test_whether_a_link_is_actual_stands_first() -> None:
    first = json.loads(DASHBOARD.read_text())["panels"][0]
    assert "deconflict_link_info" in first["targets"][0]["expr"]
