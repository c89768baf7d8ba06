"""What ``import model`` offers, and what it must not bring in."""

import subprocess
import sys
from pathlib import Path

import pytest

import model
from model.classifier import has_gpu_driver

ROOT = Path(model.__file__).parents[1]
HEAVY = ("torch", "transformers", "onnxruntime", "onnx", "safetensors", "huggingface_hub")


def imported_by(code: str) -> set[str]:
    """Which of the heavy packages a fresh interpreter has imported after running ``code``."""
    report = f"{code}\nimport sys\nprint(*(name for name in {HEAVY} if sys.modules.get(name)))"
    command = [sys.executable, "-c", report]
    return set(
        subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    )


def test_every_name_of_the_door_is_there_once() -> None:
    assert all(hasattr(model, name) for name in model.__all__)
    assert len(set(model.__all__)) == len(model.__all__)


@pytest.mark.parametrize("use", ["", "model.load('fake')", "model.load('null')"])
def test_the_door_and_the_fakes_bring_in_no_runtime(use: str) -> None:
    assert imported_by(f"import model\n{use}") == set()


@pytest.mark.parametrize("device", ["cpu", "auto"])
def test_labelling_on_a_cpu_brings_in_no_torch(tiny_folder: Path, device: str) -> None:
    if device == "auto" and has_gpu_driver():
        pytest.skip("auto asks torch for the GPU of this machine")
    code = f"import model; model.load({str(tiny_folder)!r}, device={device!r}).warm_up()"
    assert imported_by(code) == {"onnxruntime"}


def test_labelling_on_a_cpu_works_where_torch_is_not_installed(tiny_folder: Path) -> None:
    without_torch = "import sys; sys.modules['torch'] = None"
    code = f"{without_torch}; import model; model.load({str(tiny_folder)!r}).warm_up()"
    assert imported_by(code) == {"onnxruntime"}


def test_types_are_published() -> None:
    assert (Path(model.__file__).parent / "py.typed").is_file()
