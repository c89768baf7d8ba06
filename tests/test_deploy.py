"""The deploy files fit the program: settings, probes, ports and topics that they name exist.

What needs Docker or a cluster is not run here. Rules and dashboards are in test_observability.py; what the
overlays for Kubernetes amount to is in test_kubernetes.py.
"""

import re
from pathlib import Path
from typing import Final

import pytest
import yaml
from aiohttp import ClientSession
from compose_spec import PyCompose
from pydantic import SecretStr

from model.folder import SAFETENSORS_FILE
from stream.cli import COMMANDS
from stream.dashboard.app import running
from stream.dashboard.guard import Guard
from stream.errors import SettingsError
from stream.lastresort import stop_limit_s
from stream.serving import Access
from stream.settings import Settings
from tests.deployed import DEPLOY, KUBERNETES, PROGRAMS, configured, documents, of_kind, pods
from tests.test_imports import ROOT

YAML_FILES: Final = sorted(DEPLOY.rglob("*.yaml"))


def settings_named(path: Path) -> set[str]:
    text = path.read_text(encoding="utf-8")
    return {name.removeprefix("EMOTION_").lower() for name in re.findall(r"\bEMOTION_[A-Z0-9_]+", text)}


@pytest.mark.parametrize("path", YAML_FILES, ids=lambda path: path.name)
def test_yaml_files_can_be_read(path: Path) -> None:
    assert documents(path)


def test_the_readme_says_what_to_look_at_for_each_exit_code_of_a_failure() -> None:
    commands = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    listed = re.search(r"^Exit codes: (.*?)\.$", commands, re.MULTILINE | re.DOTALL)
    assert listed
    codes = {part.split()[0] for part in listed[1].split("; ")}
    readme = (DEPLOY / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| (\d+) \|", readme, re.MULTILINE)) == codes - {"0", "130"}


@pytest.mark.parametrize(
    "path",
    [DEPLOY / "Dockerfile", *YAML_FILES, *DEPLOY.rglob("config.env")],
    ids=lambda path: str(path.relative_to(DEPLOY)),
)
def test_settings_that_files_name_exist(path: Path) -> None:
    assert settings_named(path) <= set(Settings.model_fields)


def test_the_compose_file_is_one() -> None:
    """By the Compose specification, which takes no field that it does not know."""
    [compose] = documents(DEPLOY / "compose.yaml")
    PyCompose.from_yaml(yaml.safe_dump(compose))
    with pytest.raises(ValueError, match="readonly"):
        PyCompose.from_yaml(yaml.safe_dump(compose | {"services": {"monitor": {"readonly": True}}}))


def test_brokers_keep_their_records_on_their_volume() -> None:
    """The image's own default is a folder of the container."""
    [compose] = documents(DEPLOY / "compose.yaml")
    kafka = compose["services"]["kafka"]
    assert f"kafka:{kafka['environment']['KAFKA_LOG_DIRS']}" in kafka["volumes"]
    broker = documents(KUBERNETES / "overlays" / "dev" / "kafka.yaml")[0]["spec"]["template"]["spec"]
    [container] = broker["containers"]
    [mount] = container["volumeMounts"]
    assert {"name": "KAFKA_LOG_DIRS", "value": mount["mountPath"]} in container["env"]


def test_services_of_compose_come_back_but_for_the_one_that_only_creates_topics() -> None:
    [compose] = documents(DEPLOY / "compose.yaml")
    restarts = {name: service.get("restart") for name, service in compose["services"].items()}
    assert restarts.pop("topics") == "no"
    assert set(restarts.values()) == {"unless-stopped"}


def test_programs_are_commands() -> None:
    for name, pod in pods().items():
        for container in pod["containers"]:
            assert container["args"][0] in COMMANDS, name
    compose = documents(DEPLOY / "compose.yaml")[0]["services"]
    assert {compose[name]["command"][0] for name in ("topics", *PROGRAMS)} <= set(COMMANDS)


def test_programs_that_hang_in_their_end_have_time_to_end_themselves() -> None:
    limit_s = stop_limit_s(Settings().revoke_timeout_s)
    for name in PROGRAMS:
        assert pods()[f"emotion-{name}"]["terminationGracePeriodSeconds"] > limit_s
    grace = documents(DEPLOY / "compose.yaml")[0]["x-emotion-stream"]["stop_grace_period"]
    assert float(grace.removesuffix("s")) > limit_s


def test_probes_ask_what_the_programs_answer() -> None:
    for name in PROGRAMS:
        container = pods()[f"emotion-{name}"]["containers"][0]
        assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
        # The dashboard's page stays reachable while brokers are away, to say so.
        ready = "/healthz" if name == "dashboard" else "/readyz"
        assert container["readinessProbe"]["httpGet"]["path"] == ready
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        assert f"EMOTION_HTTP_PORT={ports['http']}" in (DEPLOY / "Dockerfile").read_text(encoding="utf-8")


async def test_the_page_answers_a_probe_that_knows_only_the_address_of_the_pod() -> None:
    container = pods()["emotion-dashboard"]["containers"][0]
    environment = {variable["name"]: variable.get("value") for variable in container["env"]}
    settings = Settings(
        bootstrap_servers="127.0.0.1:1",
        dashboard_host=environment["EMOTION_DASHBOARD_HOST"],
        dashboard_hosts=environment["EMOTION_DASHBOARD_HOSTS"],
        dashboard_token=SecretStr("0123456789abcdef"),
        dashboard_port=0,
        model="fake",
    )
    probe = {"Host": f"10.42.0.7:{Settings().dashboard_port}"}
    async with running(settings) as started, ClientSession(started.address, headers=probe) as client:
        async with client.get(container["readinessProbe"]["httpGet"]["path"]) as answer:
            assert answer.status == 200
        async with client.get("/login") as answer:
            assert answer.status == 421


def test_who_scrapes_has_the_token_that_the_image_wants() -> None:
    """The image listens on all addresses, where a program does not start without it."""
    with pytest.raises(SettingsError, match="EMOTION_HTTP_TOKEN"):
        Access.of(Settings(http_host="0.0.0.0"))
    assert "EMOTION_HTTP_HOST=0.0.0.0" in (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    [compose] = documents(DEPLOY / "compose.yaml")
    [scrapes] = documents(DEPLOY / "prometheus/prometheus.yaml")
    assert {"EMOTION_HTTP_TOKEN", "EMOTION_HTTP_HOSTS"} < set(compose["services"]["monitor"]["environment"])
    assert compose["secrets"]["http_token"] == {"environment": "EMOTION_HTTP_TOKEN"}
    for job in scrapes["scrape_configs"]:
        assert job["authorization"] == {"credentials_file": "/run/secrets/http_token"}
        [target] = job["static_configs"][0]["targets"]
        hosts = compose["services"]["annotator"]["environment"]["EMOTION_HTTP_HOSTS"]
        assert Access.of(Settings(http_hosts=hosts)).knows(target)
    for monitor in of_kind("PodMonitor").values():
        [endpoint] = monitor["spec"]["podMetricsEndpoints"]
        key = endpoint["authorization"]["credentials"]["key"]
        assert key in of_kind("Secret")["emotion-stream"]["stringData"]


def test_containers_run_without_rights() -> None:
    for name, pod in pods().items():
        assert pod["securityContext"]["runAsNonRoot"], name
        for container in pod["containers"]:
            context = container["securityContext"]
            assert context["readOnlyRootFilesystem"], name
            assert context["capabilities"] == {"drop": ["ALL"]}, name


def test_scaling_stops_at_the_number_of_partitions() -> None:
    scaled = of_kind("ScaledObject")["emotion-annotator"]["spec"]
    config = configured()
    assert scaled["maxReplicaCount"] <= int(config["EMOTION_PARTITIONS"])
    trigger = scaled["triggers"][0]["metadata"]
    defaults = Settings()
    assert (trigger["consumerGroup"], trigger["topic"]) == (defaults.group_id, defaults.input_topic)
    assert trigger["bootstrapServers"] == config["EMOTION_BOOTSTRAP_SERVERS"]


def test_the_brokers_are_those_of_the_cluster_whose_topics_strimzi_keeps() -> None:
    """Strimzi names the service of a cluster CLUSTER-kafka-bootstrap."""
    [kustomization] = documents(KUBERNETES / "strimzi" / "kustomization.yaml")
    cluster = kustomization["labels"][0]["pairs"]["strimzi.io/cluster"]
    host = configured()["EMOTION_BOOTSTRAP_SERVERS"].split(":")[0]
    assert host == f"{cluster}-kafka-bootstrap.{kustomization['namespace']}.svc"


def test_nothing_that_is_applied_undoes_the_scaling() -> None:
    for scaled in of_kind("ScaledObject").values():
        assert "replicas" not in of_kind("Deployment")[scaled["spec"]["scaleTargetRef"]["name"]]["spec"]


def test_the_dashboard_has_its_token_and_no_author_key() -> None:
    """Off loopback it does not start without a token and a name that it is reached by."""
    [compose] = documents(DEPLOY / "compose.yaml")
    service = compose["services"]["dashboard"]
    assert service["ports"] == [f"127.0.0.1:{Settings().dashboard_port}:{Settings().dashboard_port}"]
    container = pods()["emotion-dashboard"]["containers"][0]
    [name] = (source["secretRef"]["name"] for source in container["envFrom"] if "secretRef" in source)
    kubernetes = {variable["name"]: variable.get("value") for variable in container["env"]}
    kubernetes |= of_kind("Secret")[name]["stringData"]
    for environment in (service["environment"], kubernetes):
        assert "EMOTION_DASHBOARD_TOKEN" in environment
        assert "EMOTION_AUTHOR_KEY" not in environment
        settings = Settings(
            dashboard_host=environment["EMOTION_DASHBOARD_HOST"],
            dashboard_hosts=environment["EMOTION_DASHBOARD_HOSTS"],
            dashboard_token=SecretStr("0123456789abcdef"),
        )
        assert settings.dashboard_host == "0.0.0.0"
        assert Guard(settings, "nobody").asks_for_token


def test_the_example_of_variables_names_what_compose_asks_for_and_holds_no_secret() -> None:
    asked = set(re.findall(r"\$\{(\w+):\?", (DEPLOY / "compose.yaml").read_text(encoding="utf-8")))
    lines = (DEPLOY / ".env.example").read_text(encoding="utf-8").splitlines()
    assert {line for line in lines if line and not line.startswith("#")} == {f"{name}=" for name in asked}


def test_no_second_dashboard_answers_for_sessions_of_the_first() -> None:
    spec = of_kind("Deployment")["emotion-dashboard"]["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


def test_network_policies_let_through_what_the_programs_use() -> None:
    policies = of_kind("NetworkPolicy")
    everybody = policies["emotion-stream"]["spec"]
    for name, workload in (of_kind("Deployment") | of_kind("StatefulSet") | of_kind("Job")).items():
        labels = workload["spec"]["template"]["metadata"]["labels"]
        assert everybody["podSelector"]["matchLabels"].items() <= labels.items(), name
    for name in PROGRAMS:
        of_program = [everybody, policies.get(f"emotion-{name}", {"spec": {}})["spec"]]
        rules = [rule for spec in of_program for rule in spec.get("ingress", ())]
        let_in = {port["port"] for rule in rules for port in rule["ports"]}
        container = pods()[f"emotion-{name}"]["containers"][0]
        assert {port["containerPort"] for port in container["ports"]} == let_in
    config = configured()
    let_out = {
        (to["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"], port["port"])
        for policy in policies.values()
        for rule in policy["spec"].get("egress", ())
        for to in rule["to"]
        for port in rule["ports"]
    }
    for address in (config["EMOTION_BOOTSTRAP_SERVERS"], config["EMOTION_ALERTMANAGER_URL"]):
        host, port = address.removeprefix("http://").split(":")
        assert (host.split(".")[1], int(port)) in let_out


def test_workloads_that_share_partitions_leave_one_at_a_time() -> None:
    for name in ("emotion-annotator", "emotion-monitor"):
        budget = of_kind("PodDisruptionBudget")[name]["spec"]
        workload = (of_kind("Deployment") | of_kind("StatefulSet"))[name]["spec"]
        assert budget["maxUnavailable"] == 1
        assert budget["selector"]["matchLabels"] == workload["selector"]["matchLabels"]


def test_the_cpu_image_carries_neither_training_nor_what_only_torch_reads() -> None:
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    stages = {stage.split("\n")[0].split(" AS ")[1]: stage for stage in text.split("\nFROM ")[1:]}
    copied = {word for line in text.splitlines() if line.startswith("COPY ") for word in line.split()[1:-1]}
    assert "training" not in copied
    [removed] = re.findall(r"site-packages/(model/\S+)", stages["build-cpu"])
    assert (ROOT / removed).name == SAFETENSORS_FILE
    assert (ROOT / removed).is_file()
    assert "site-packages/model" not in stages["build"] + stages["installed"] + stages["build-gpu"]


def test_the_configuration_of_kubernetes_is_valid() -> None:
    config = configured()
    Settings(**{name.removeprefix("EMOTION_").lower(): value for name, value in config.items()})


def test_lists_of_ones_own_are_mounted_where_the_settings_name_them() -> None:
    config = (KUBERNETES / "base" / "config.env").read_text(encoding="utf-8")
    named = dict(re.findall(r"^# (EMOTION_\w+_FILE)=(\S+)$", config, re.MULTILINE))
    readers = {"RULES": ("monitor", "configMap"), "PHRASES": ("annotator", "configMap")}
    readers |= {"OPTOUT": ("annotator", "secret")}
    assert set(named) == {f"EMOTION_{name}_FILE" for name in readers}
    for name, (program, kind) in readers.items():
        pod = pods()[f"emotion-{program}"]
        mounts = {mount["mountPath"]: mount["name"] for mount in pod["containers"][0]["volumeMounts"]}
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        volume = volumes[mounts[str(Path(named[f"EMOTION_{name}_FILE"]).parent)]]
        sources = volume["projected"]["sources"] if "projected" in volume else [volume]
        assert [source[kind]["optional"] for source in sources if kind in source] == [True], name


def test_no_secret_stands_in_the_files() -> None:
    for secret in of_kind("Secret").values():
        for name, value in secret["stringData"].items():
            if name.startswith("EMOTION_") and name != "EMOTION_SASL_USERNAME":
                assert value.startswith("replace-"), name
