"""What the overlays amount to, as Kustomize renders them, is what Kubernetes takes and the programs need.

Rendered by ``kustomize`` or ``kubectl kustomize``, whichever there is; nothing is applied to a cluster. The
kinds that are Kubernetes' own are held against its schemas, those of operators against operator_schemas.yaml;
neither takes a field that it does not know.
"""

import functools
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import jsonschema
import kubernetes_validate
import pytest
import yaml

from stream.settings import Settings
from tests.deployed import KUBERNETES, PROGRAMS

OVERLAYS: Final = ("overlays/cpu", "overlays/gpu", "overlays/dev")
KUBERNETES_VERSIONS: Final = ("1.30", "1.37")
WORKLOADS: Final = ("Deployment", "StatefulSet", "Job")
OF_OTHERS: Final = ("keda.sh/", "monitoring.coreos.com/", "kafka.strimzi.io/")
"""Groups whose schemas are not Kubernetes'."""
OPERATOR_SCHEMAS: Final = yaml.safe_load(
    (Path(__file__).parent / "operator_schemas.yaml").read_text(encoding="utf-8")
)

Object = dict[str, Any]


@functools.cache
def rendered(folder: str) -> tuple[Object, ...]:
    """Every object of an overlay."""
    tool = ["kustomize", "build"] if shutil.which("kustomize") else ["kubectl", "kustomize"]
    if shutil.which(tool[0]) is None:
        pytest.skip("neither kustomize nor kubectl is on PATH: install one to render the overlays")
    made = subprocess.run([*tool, str(KUBERNETES / folder)], capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    return tuple(yaml.safe_load_all(made.stdout))


def of_kind(folder: str, *kinds: str) -> dict[str, Object]:
    return {found["metadata"]["name"]: found for found in rendered(folder) if found["kind"] in kinds}


def pods(folder: str) -> dict[str, Object]:
    """Specs of the pods of all workloads, those of other programs too, by the workload's name."""
    return {
        name: workload["spec"]["template"]["spec"] for name, workload in of_kind(folder, *WORKLOADS).items()
    }


@pytest.mark.parametrize("version", KUBERNETES_VERSIONS)
@pytest.mark.parametrize("folder", OVERLAYS)
def test_kubernetes_takes_every_object_of_its_kinds(folder: str, version: str) -> None:
    own = [found for found in rendered(folder) if not found["apiVersion"].startswith(OF_OTHERS)]
    assert {"Deployment", "StatefulSet", "Job", "Service", "ConfigMap"} <= {found["kind"] for found in own}
    for found in own:
        kubernetes_validate.validate(found, version, strict=True)


def test_a_field_that_kubernetes_does_not_know_is_seen() -> None:
    [annotator] = (
        found
        for found in rendered("overlays/cpu")
        if found["metadata"]["name"] == "emotion-annotator" and found["kind"] == "Deployment"
    )
    wrong = annotator | {"spec": annotator["spec"] | {"replica": 1}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, KUBERNETES_VERSIONS[0], strict=True)


def test_operators_take_every_object_that_is_theirs() -> None:
    theirs = [
        found
        for folder in ("overlays/cpu", "overlays/gpu", "strimzi")
        for found in rendered(folder)
        if found["apiVersion"].startswith(OF_OTHERS)
    ]
    kinds = {f"{found['apiVersion']} {found['kind']}" for found in theirs}
    assert kinds == set(OPERATOR_SCHEMAS)
    for found in theirs:
        jsonschema.validate(found["spec"], OPERATOR_SCHEMAS[f"{found['apiVersion']} {found['kind']}"])


@pytest.mark.parametrize("folder", ["overlays/cpu", "overlays/gpu"])
def test_keda_hands_kubernetes_a_behaviour_that_it_takes(folder: str) -> None:
    [scaled] = of_kind(folder, "ScaledObject").values()
    autoscaler = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "keda-hpa"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "emotion-annotator"},
            "maxReplicas": scaled["spec"]["maxReplicaCount"],
            **scaled["spec"]["advanced"]["horizontalPodAutoscalerConfig"],
        },
    }
    for version in KUBERNETES_VERSIONS:
        kubernetes_validate.validate(autoscaler, version, strict=True)


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        ("ScaledObject", {"maxReplicas": 8}),
        ("ScaledObject", {"triggers": [{"type": "kafka", "metadata": {"lagThreshold": 5}}]}),
        ("TriggerAuthentication", {"secretTargetRef": [{"parameter": "user", "name": "a", "key": "b"}]}),
        ("KafkaTopic", {"partition": 8}),
        ("PodMonitor", {"selector": {"matchLabel": {}}}),
    ],
)
def test_what_an_operator_does_not_take_is_seen(kind: str, wrong: Object) -> None:
    found = next(
        one
        for one in (*rendered("overlays/cpu"), *rendered("strimzi"))
        if one["kind"] == kind and one["apiVersion"].startswith(OF_OTHERS)
    )
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(found["spec"] | wrong, OPERATOR_SCHEMAS[f"{found['apiVersion']} {kind}"])


def test_several_topics_need_a_trigger_that_names_none_and_counts_all_partitions() -> None:
    """As the comment in keda.yaml says; KEDA refuses limitToPartitionsWithLag without a topic."""
    [scaled] = of_kind("overlays/cpu", "ScaledObject").values()
    schema = OPERATOR_SCHEMAS["keda.sh/v1alpha1 ScaledObject"]
    [trigger] = scaled["spec"]["triggers"]

    def without(*names: str) -> Object:
        metadata = {name: value for name, value in trigger["metadata"].items() if name not in names}
        return scaled["spec"] | {"triggers": [trigger | {"metadata": metadata}]}

    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(without("topic"), schema)
    jsonschema.validate(without("topic", "limitToPartitionsWithLag"), schema)


@pytest.mark.parametrize("folder", OVERLAYS)
def test_each_program_is_there_once_in_one_namespace_with_settings_that_hold(folder: str) -> None:
    assert {f"emotion-{name}" for name in PROGRAMS} <= set(pods(folder))
    assert (
        len(
            {found["metadata"].get("namespace") for found in rendered(folder) if found["kind"] != "Namespace"}
        )
        == 1
    )
    [config] = of_kind(folder, "ConfigMap").values()
    Settings(**{name.removeprefix("EMOTION_").lower(): value for name, value in config["data"].items()})
    named = {
        source["configMapRef"]["name"]
        for pod in pods(folder).values()
        for container in pod["containers"]
        for source in container.get("envFrom", ())
        if "configMapRef" in source
    }
    assert named == {config["metadata"]["name"]}


@pytest.mark.parametrize("folder", OVERLAYS)
def test_every_pod_meets_the_restricted_profile_and_states_what_it_needs(folder: str) -> None:
    """Pod Security Standards, "Restricted"; a memory limit, and no CPU limit, which would only throttle."""
    for name, pod in pods(folder).items():
        assert pod["automountServiceAccountToken"] is False, name
        assert pod["securityContext"]["runAsNonRoot"], name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for container in pod["containers"]:
            context, resources = container["securityContext"], container["resources"]
            assert context["allowPrivilegeEscalation"] is False, name
            assert context["capabilities"] == {"drop": ["ALL"]}, name
            assert {"cpu", "memory"} == set(resources["requests"]), name
            assert "memory" in resources["limits"], name
            assert "cpu" not in resources["limits"], name


@pytest.mark.parametrize("folder", OVERLAYS)
def test_whatever_runs_on_has_all_three_probes(folder: str) -> None:
    for name, workload in of_kind(folder, "Deployment", "StatefulSet").items():
        [container] = workload["spec"]["template"]["spec"]["containers"]
        assert {"startupProbe", "livenessProbe", "readinessProbe"} <= set(container), name


@pytest.mark.parametrize("folder", OVERLAYS)
def test_no_secret_of_the_programs_is_made_and_each_that_is_named_is_in_the_example(folder: str) -> None:
    assert not {"emotion-stream", "emotion-dashboard", "kafka-ca"} & set(of_kind(folder, "Secret"))
    example = yaml.safe_load_all((KUBERNETES / "secret.example.yaml").read_text(encoding="utf-8"))
    known = {secret["metadata"]["name"]: set(secret["stringData"]) for secret in example}
    for pod in pods(folder).values():
        for container in pod["containers"]:
            whole = {
                source["secretRef"]["name"]
                for source in container.get("envFrom", ())
                if "secretRef" in source
            }
            assert whole <= set(known)
            for variable in container.get("env", ()):
                if "valueFrom" in variable:
                    reference = variable["valueFrom"]["secretKeyRef"]
                    assert reference["key"] in known[reference["name"]]


@pytest.mark.parametrize("folder", ["overlays/cpu", "overlays/gpu"])
def test_scaling_has_the_last_word_and_no_more_annotators_than_partitions(folder: str) -> None:
    [scaled] = of_kind(folder, "ScaledObject").values()
    target = of_kind(folder, "Deployment")[scaled["spec"]["scaleTargetRef"]["name"]]
    assert "replicas" not in target["spec"]
    [config] = of_kind(folder, "ConfigMap").values()
    assert scaled["spec"]["maxReplicaCount"] <= int(config["data"]["EMOTION_PARTITIONS"])


def test_gpus_are_for_annotators_alone() -> None:
    images = {name: pod["containers"][0]["image"] for name, pod in pods("overlays/gpu").items()}
    assert images.pop("emotion-annotator") == "emotion-stream:gpu"
    assert set(images.values()) == {"emotion-stream:cpu"}
    [container] = pods("overlays/gpu")["emotion-annotator"]["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"


@pytest.mark.parametrize("folder", ["overlays/cpu", "overlays/gpu"])
def test_images_named_where_an_overlay_shows_it_are_those_of_every_program(
    folder: str, tmp_path: Path
) -> None:
    copy = shutil.copytree(KUBERNETES, tmp_path / "kubernetes")
    file = copy / folder / "kustomization.yaml"
    head, _, hint = file.read_text(encoding="utf-8").partition("# images:\n")
    file.write_text(f"{head}images:\n{hint.replace('# ', '')}", encoding="utf-8")
    images = {pod["containers"][0]["image"].split(":")[0] for pod in pods(str(copy / folder)).values()}
    assert images == {"registry.example.org/emotion-stream"}


def test_the_overlay_to_try_it_asks_for_no_operator_and_lets_its_own_broker_be_reached() -> None:
    assert not [found for found in rendered("overlays/dev") if found["apiVersion"].startswith(OF_OTHERS)]
    assert not of_kind("overlays/dev", "NetworkPolicy")
    [config] = of_kind("overlays/dev", "ConfigMap").values()
    host, port = config["data"]["EMOTION_BOOTSTRAP_SERVERS"].split(":")
    assert int(port) in {port["port"] for port in of_kind("overlays/dev", "Service")[host]["spec"]["ports"]}


def test_strimzi_keeps_the_topics_as_the_programs_would_make_them() -> None:
    topics = of_kind("strimzi", "KafkaTopic")
    specs = {spec.name: spec for spec in Settings().topic_specs()}
    assert set(topics) == set(specs)
    for name, topic in topics.items():
        config = {key: str(value) for key, value in topic["spec"]["config"].items()}
        copies = int(config.pop("min.insync.replicas"))
        assert config == specs[name].config
        assert topic["spec"]["partitions"] == specs[name].partitions
        assert copies < topic["spec"]["replicas"]
        assert "strimzi.io/cluster" in topic["metadata"]["labels"]
