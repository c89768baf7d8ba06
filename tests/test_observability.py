"""Rules, dashboards and the runbook ask only for what the programs expose and take.

promtool and amtool check the files where they are.
"""

import json
import re
import shutil
import subprocess
from pathlib import Path
from unittest.mock import AsyncMock

import pytest
import yaml

from model.labels import LABELS
from stream.annotate.inputtopics import InputTopics
from stream.cli import COMMANDS
from stream.errors import Cause
from stream.inputs import Inputs
from stream.metrics import Metrics
from stream.monitor.metrics import MonitorMetrics
from stream.settings import Settings
from stream.topicwatch import TopicView
from tests.deployed import DEPLOY, PROGRAMS, alerts, asked, documents, exposed, queries, registries
from tests.test_imports import ROOT


def test_rules_and_dashboards_ask_only_for_metrics_that_exist() -> None:
    """That the programs serve these under /metrics is tested with each of them, while it runs."""
    named = {name for query in queries() for name in re.findall(r"\bemotion_\w+", query)}
    assert named
    assert named <= exposed()
    assert all(map(asked, PROGRAMS))


@pytest.mark.parametrize(("page", "metrics"), [("annotator.md", Metrics), ("monitor.md", MonitorMetrics)])
def test_a_page_lists_every_metric_of_its_program(page: str, metrics: type[Metrics | MonitorMetrics]) -> None:
    rows = re.findall(r"^\| `emotion_.*", (ROOT / "docs" / page).read_text(encoding="utf-8"), re.MULTILINE)
    listed = {name for row in rows for name in re.findall(r"`(emotion_\w+)", row.split("|")[1])}
    families = metrics().registry.collect()
    assert listed == {f"{one.name}_total" if one.type == "counter" else one.name for one in families}


@pytest.mark.parametrize(
    ("counter", "label", "values"),
    [
        ("emotion_messages", "outcome", {"labelled", "unknown", "dead_letter", "opted_out", "tombstone"}),
        ("emotion_labels", "label", set(LABELS)),
        ("emotion_dead_letters", "cause", set(Cause)),
        ("emotion_replaced_times", "clock", {"message", "broker"}),
        ("emotion_transactions", "result", {"committed", "aborted", "fenced"}),
        ("emotion_monitor_deliveries", "receiver", {"webhook", "alertmanager"}),
        ("emotion_monitor_deliveries", "result", {"delivered", "retried", "given_up"}),
    ],
)
def test_series_stand_at_zero_before_their_first_value(counter: str, label: str, values: set[str]) -> None:
    """A series that is born at its first value has no increase: a rule that asks for one stays silent."""
    [family] = [found for registry in registries() for found in registry.collect() if found.name == counter]
    totals = [sample for sample in family.samples if sample.name.endswith("_total")]
    assert {sample.labels[label] for sample in totals} == values
    assert {sample.value for sample in totals} == {0.0}


def test_what_rules_and_topics_may_do_stands_at_zero_once_they_are_known() -> None:
    metrics = MonitorMetrics()
    metrics.expect_topics(Settings().topics)
    metrics.expect_rules(["rising"])
    value = metrics.registry.get_sample_value
    assert value("emotion_monitor_rejected_total", {"topic": "emotions.signals"}) == 0
    assert value("emotion_monitor_lag_records", {"topic": "emotions.counts"}) == 0
    assert value("emotion_monitor_alerts_total", {"rule": "rising", "status": "firing"}) == 0


async def test_series_of_a_topic_that_matched_go_with_it() -> None:
    """Where each day or ticket has a topic of its own, they would grow without end."""
    metrics, watch = Metrics(), AsyncMock()
    topics = InputTopics(Inputs.of(Settings(input_pattern=r"chat\..*")), watch, metrics)
    watch.look.return_value = {name: TopicView(2) for name in ("chat.1", "chat.2")}
    await topics.look()
    for name in ("chat.1", "chat.2"):
        metrics.unread_expired.labels(name, 0)
    watch.look.return_value = {"chat.2": TopicView(2)}
    for _ in range(2):
        await topics.look()
    shown = {
        sample.labels["topic"]
        for family in metrics.registry.collect()
        for sample in family.samples
        if "topic" in sample.labels
    }
    assert shown == {"chat.2"}


def test_values_of_labels_that_queries_pick_are_ones_that_programs_set() -> None:
    picked = {
        (metric.removesuffix("_total"), label, value)
        for query in queries()
        for metric, label, value in re.findall(r'\b(emotion_\w+_total)\{(\w+)="([^"]*)"', query)
    }
    set_from_the_start = {
        (family.name, label, value)
        for registry in registries()
        for family in registry.collect()
        for sample in family.samples
        for label, value in sample.labels.items()
    }
    assert picked
    assert picked <= set_from_the_start


def test_every_alert_says_what_to_do() -> None:
    for name, rule in alerts().items():
        assert {"summary", "action"} <= set(rule["annotations"]), name


def test_the_runbook_has_a_section_for_each_alert_and_for_nothing_else() -> None:
    text = (DEPLOY / "RUNBOOK.md").read_text(encoding="utf-8")
    sections = {section.splitlines()[0]: section for section in text.split("\n## ")[1:]}
    assert set(sections) == set(alerts())
    for name, rule in alerts().items():
        assert rule["annotations"]["runbook"] == f"deploy/RUNBOOK.md#{name.lower()}"
        for part in ("- **Means**:", "- **Look at**:", "- **Do**:"):
            assert part in sections[name], (name, part)


def test_the_runbook_names_metrics_settings_and_commands_that_exist() -> None:
    text = (DEPLOY / "RUNBOOK.md").read_text(encoding="utf-8")
    assert set(re.findall(r"`(emotion_[a-z_]+)`", text)) <= exposed() | {
        name.removesuffix("_bucket") for name in exposed()
    }
    assert set(re.findall(r"`emotion-stream ([a-z]+)", text)) <= set(COMMANDS)
    settings = set(
        re.findall(r"`([a-z]+_(?:ms|s|id|file|key|topic|timeout_s|timeout_ms|servers|receivers))`", text)
    )
    assert settings
    assert settings <= set(Settings.model_fields)


def test_every_alert_is_shown_firing_and_silent() -> None:
    silent, firing = set[str](), set[str]()
    for case in documents(DEPLOY / "prometheus" / "rules.test.yaml")[0]["tests"]:
        for test in case["alert_rule_test"]:
            (firing if test["exp_alerts"] else silent).add(test["alertname"])
    assert silent == set(alerts())
    assert firing == set(alerts())


def test_panels_of_a_dashboard_do_not_cover_each_other() -> None:
    for path in (DEPLOY / "grafana" / "dashboards").glob("*.json"):
        panels = json.loads(path.read_text(encoding="utf-8"))["panels"]
        assert len({panel["id"] for panel in panels}) == len(panels)
        taken = set[tuple[int, int]]()
        for place in (panel["gridPos"] for panel in panels):
            cells = {
                (place["x"] + column, place["y"] + line)
                for column in range(place["w"])
                for line in range(place["h"])
            }
            assert not cells & taken
            assert all(column < 24 for column, _ in cells)
            taken |= cells


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "rules", "rules.yaml"),
        ("test", "rules", "rules.test.yaml"),
        ("check", "config", "--syntax-only", "prometheus.yaml"),
    ],
)
def test_promtool_accepts_the_rules(arguments: tuple[str, ...]) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not on PATH: install Prometheus to check the rules")
    checked = subprocess.run(
        [promtool, *arguments], cwd=DEPLOY / "prometheus", capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_promtool_can_read_every_query_of_the_dashboards(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not on PATH: install Prometheus to check the queries")
    texts = [query.replace("$__rate_interval", "5m") for query in queries()]
    rules = [{"record": f"query:{number}", "expr": text} for number, text in enumerate(texts)]
    file = tmp_path / "queries.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}), encoding="utf-8")
    checked = subprocess.run([promtool, "check", "rules", file], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_amtool_accepts_the_routes() -> None:
    amtool = shutil.which("amtool")
    if amtool is None:
        pytest.skip("amtool is not on PATH: install Alertmanager to check its configuration")
    command = [amtool, "check-config", str(DEPLOY / "alertmanager" / "alertmanager.yaml")]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
