"""The deploy files as tests read them: Kubernetes' objects, queries, and the metrics that programs expose."""

import functools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml
from prometheus_client import CollectorRegistry, generate_latest

from stream.dashboard.app import Running
from stream.dashboard.app import metrics as dashboard_metrics
from stream.dashboard.feed import Feed
from stream.dashboard.publish import Publisher
from stream.metrics import Metrics
from stream.monitor.metrics import MonitorMetrics
from stream.settings import Settings
from tests.test_imports import ROOT

DEPLOY: Final = ROOT / "deploy"
KUBERNETES: Final = DEPLOY / "kubernetes"
PROGRAMS: Final = ("annotator", "monitor", "dashboard")


@functools.cache
def documents(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


def of_kind(kind: str) -> dict[str, dict[str, Any]]:
    """Kubernetes objects of the base and the components, and the example of secrets, by name."""
    files = [
        KUBERNETES / "secret.example.yaml",
        *KUBERNETES.glob("base/*.yaml"),
        *KUBERNETES.glob("components/*/*.yaml"),
    ]
    everything = (
        document for path in files for document in documents(path) if path.name != "kustomization.yaml"
    )
    return {found["metadata"]["name"]: found for found in everything if found["kind"] == kind}


def configured() -> dict[str, str]:
    """The settings that all programs on Kubernetes get."""
    lines = (KUBERNETES / "base" / "config.env").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if not line.startswith("#"))


def pods() -> dict[str, dict[str, Any]]:
    """Specs of the pods of all workloads by the workload's name."""
    workloads = of_kind("Deployment") | of_kind("StatefulSet") | of_kind("Job")
    return {name: workload["spec"]["template"]["spec"] for name, workload in workloads.items()}


def queries() -> Iterator[str]:
    """Every PromQL expression in rules and dashboards."""
    for group in documents(DEPLOY / "prometheus" / "rules.yaml")[0]["groups"]:
        yield from (rule["expr"] for rule in group["rules"])
    for dashboard in (DEPLOY / "grafana" / "dashboards").glob("*.json"):
        for panel in json.loads(dashboard.read_text(encoding="utf-8"))["panels"]:
            yield from (target["expr"] for target in panel.get("targets", []))


def alerts() -> dict[str, dict[str, Any]]:
    """Alerting rules by name."""
    groups = documents(DEPLOY / "prometheus" / "rules.yaml")[0]["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"] if "alert" in rule}


def registries() -> tuple[CollectorRegistry, ...]:
    """What the three programs expose before anything has happened."""
    dashboard = Running(Feed(Settings()), Publisher(), "", ())
    return Metrics().registry, MonitorMetrics().registry, dashboard_metrics(dashboard)


def exposed() -> set[str]:
    """Names under which Prometheus sees our metrics."""
    return set[str]().union(*(served(generate_latest(registry).decode()) for registry in registries()))


def served(answer: str) -> set[str]:
    """Names of the series in an answer of /metrics."""
    kinds = re.findall(r"^# TYPE (\S+) (\S+)$", answer, re.MULTILINE)
    suffixes = {"histogram": ("_bucket", "_sum", "_count")}
    return {name + suffix for name, kind in kinds for suffix in suffixes.get(kind, ("",))}


def asked(program: str) -> set[str]:
    """Names that rules and dashboards ask of a program."""
    of_program = dict(zip(PROGRAMS, registries(), strict=True))[program]
    named = {name for query in queries() for name in re.findall(r"\bemotion_\w+", query)}
    return named & served(generate_latest(of_program).decode())
