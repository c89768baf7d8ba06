"""TLS and logins: Faust has its own spelling of them, and the monitor's other clients have aiokafka's."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from stream.admin import create_topics
from stream.events import ALL_CHANNELS
from stream.monitor.app import running
from stream.settings import Settings
from tests.records import produce
from tests.secure_kafka import USERS, SecureKafka, unsigned_token
from tests.stream.monitor.test_app import delta_record, two_channels, until

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]


@pytest.fixture
def kafka(secure_kafka: SecureKafka) -> SecureKafka:
    return secure_kafka


def way_in(name: str, kafka: SecureKafka, tmp_path: Path) -> dict[str, Any]:
    """Settings that this way of logging in needs."""
    if name == "mutual TLS":
        return {
            "bootstrap_servers": kafka.mutual_servers,
            "security_protocol": "SSL",
            "ssl_certfile": kafka.client_file,
            "ssl_keyfile": kafka.client_file,
        }
    login: dict[str, Any] = {"sasl_username": "alice", "sasl_password": SecretStr(USERS["alice"])}
    if name == "OAUTHBEARER":
        token_file = tmp_path / "token"
        token_file.write_text(unsigned_token("alice") + "\n")
        login = {"sasl_token_file": token_file}
    return {
        "bootstrap_servers": kafka.secure_servers,
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": name,
        **login,
    }


@pytest.mark.parametrize("name", ["PLAIN", "SCRAM-SHA-512", "OAUTHBEARER", "mutual TLS"])
async def test_the_monitor_gets_in(kafka: SecureKafka, unique_name: str, tmp_path: Path, name: str) -> None:
    topic = unique_name.replace("[", "-").replace("]", "")
    open_to_tests = Settings(
        bootstrap_servers=kafka.bootstrap_servers,
        input_topic=f"{topic}.messages",
        topic_prefix=f"{topic}.emotions",
        monitor_group_id=f"{topic}.monitor",
        state_dir=tmp_path / "state",
        partitions=1,
        checkpoint_interval_ms=50,
    )
    await create_topics(open_to_tests)
    await produce(kafka.bootstrap_servers, open_to_tests.topics.counts, map(delta_record, two_channels(3)))
    secured = open_to_tests.model_copy(update={"ssl_cafile": kafka.ca_file, **way_in(name, kafka, tmp_path)})
    async with running(secured):
        await until(open_to_tests, Counter({("support", "joy"): 3, (ALL_CHANNELS, "joy"): 3}), timeout_s=40)
