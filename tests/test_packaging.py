"""What is installed: every file that the packages read stands among the package data."""

import re
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest

from tests.test_imports import PACKAGES, ROOT

PROJECT: Final[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def data_files(package: str) -> set[Path]:
    """Files of a package that are no Python, as an install must carry them; hidden ones are scratch."""
    found = {path for path in (ROOT / package).rglob("*") if path.is_file()}
    hidden = {path for path in found if any(part.startswith(".") for part in path.relative_to(ROOT).parts)}
    return {path for path in found - hidden if path.suffix not in {".py", ".pyc"}}


@pytest.mark.parametrize("package", PACKAGES)
def test_every_file_beside_the_code_is_package_data(package: str) -> None:
    patterns = PROJECT["tool"]["setuptools"]["package-data"][package]
    carried = {path for pattern in patterns for path in (ROOT / package).glob(pattern)}
    assert data_files(package) <= carried


def test_the_base_install_needs_no_torch() -> None:
    names = {re.split(r"[^\w-]", requirement)[0] for requirement in PROJECT["project"]["dependencies"]}
    assert not names & {"torch", "transformers", "safetensors"}


def test_the_makefile_describes_each_of_its_targets() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = set(re.findall(r"^\.PHONY: (.*)$", text, re.MULTILINE)[0].split())
    assert phony == set(re.findall(r"^([a-z-]+):.*## ", text, re.MULTILINE))
