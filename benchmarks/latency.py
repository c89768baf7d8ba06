"""Latency against offered load, on Apache Kafka of KAFKA_HOME where it is given: ``make bench-latency``.

    KAFKA_HOME=/opt/kafka make bench-latency
    make bench-latency ARGS="--loads 10,50 --seconds 60 --plot latency.svg"

Arguments are those of ``emotion-stream bench latency``, which measures. A Java virtual machine compiles what
it runs for its first minutes, in which the broker takes half as much processor time again; so that one of
KAFKA_HOME is measured as one that has been running, the warm-up lasts three minutes, if ``--warm-up`` says
nothing else.
"""

import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from tests.brokers import ApacheKafka


def main() -> int:
    environment = dict(os.environ)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as around:
        if os.environ.get("KAFKA_HOME"):
            broker = ApacheKafka(Path(folder), brief=False)
            broker.start()
            around.callback(broker.stop)
            environment["EMOTION_BOOTSTRAP_SERVERS"] = broker.bootstrap_servers
        command = [sys.executable, "-m", "stream.cli", "bench", "latency", "--warm-up", "180", *sys.argv[1:]]
        return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
