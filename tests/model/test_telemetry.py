"""Nothing about a machine or its use goes to the makers of what we build on."""

import os
import subprocess
import sys
from pathlib import Path

LABEL = "import model; model.EmotionClassifier.load().classify(['hello there'])"


def test_the_runtime_keeps_no_identifier_and_no_record_of_its_use(tmp_path: Path) -> None:
    """onnxruntime keeps both beside what it sends: where it sends nothing, there are none."""
    home, temporary = tmp_path / "home", tmp_path / "temporary"
    home.mkdir()
    temporary.mkdir()
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    places = {"HOME": str(home), "TMPDIR": str(temporary)}
    subprocess.run([sys.executable, "-c", LABEL], env=environment | places, check=True, timeout=60)
    assert list(home.rglob("*")) == []
    assert list(temporary.rglob("*")) == []
