"""TLS and logins: each mechanism reaches a broker that insists on it; a wrong one is said in one line."""

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest
from pydantic import SecretStr

from model.fake import FakeClassifier
from stream.admin import create_topics, partition_counts
from stream.annotate.app import Annotator
from stream.errors import BrokerError, SettingsError, TopicError
from stream.kafka import connection
from stream.settings import Settings
from stream.starting import answered
from tests.records import produce, read_committed_all
from tests.secure_kafka import USERS, SecureKafka, unsigned_token

pytestmark = pytest.mark.kafka


@pytest.fixture
def kafka(secure_kafka: SecureKafka) -> SecureKafka:
    return secure_kafka


def settings(kafka: SecureKafka, unique_name: str, **given: Any) -> Settings:
    values: dict[str, Any] = {
        "bootstrap_servers": kafka.secure_servers,
        "security_protocol": "SASL_SSL",
        "ssl_cafile": kafka.ca_file,
        "input_topic": f"{unique_name}.messages",
        "topic_prefix": f"{unique_name}.emotions",
        "group_id": unique_name,
        "partitions": 1,
        "author_key": "a key for the tests",
        "drain": True,
    }
    return Settings(**values | given)


def login(mechanism: str, tmp_path: Path, user: str = "alice") -> dict[str, Any]:
    if mechanism == "OAUTHBEARER":
        token_file = tmp_path / "token"
        token_file.write_text(unsigned_token(user) + "\n")
        return {"sasl_mechanism": mechanism, "sasl_token_file": token_file}
    return {"sasl_mechanism": mechanism, "sasl_username": user, "sasl_password": SecretStr(USERS[user])}


async def labels_one_message(kafka: SecureKafka, secured: Settings) -> None:
    await create_topics(secured)
    await produce(kafka.bootstrap_servers, secured.input_topic, [orjson.dumps({"text": "joy: at last"})])
    await Annotator(secured, FakeClassifier()).run()
    assert len(await read_committed_all(kafka.bootstrap_servers, secured.topics.emotions)) == 1


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"])
async def test_a_message_is_labelled_over_tls_with_each_mechanism(
    kafka: SecureKafka, unique_name: str, tmp_path: Path, mechanism: str
) -> None:
    await labels_one_message(kafka, settings(kafka, unique_name, **login(mechanism, tmp_path)))


async def test_a_message_is_labelled_over_mutual_tls(kafka: SecureKafka, unique_name: str) -> None:
    files = {"ssl_certfile": kafka.client_file, "ssl_keyfile": kafka.client_file}
    mutual = {"bootstrap_servers": kafka.mutual_servers, "security_protocol": "SSL"}
    await labels_one_message(kafka, settings(kafka, unique_name, **mutual, **files))


async def test_a_wrong_password_is_said_in_one_line(
    kafka: SecureKafka, unique_name: str, tmp_path: Path
) -> None:
    wrong = login("SCRAM-SHA-256", tmp_path) | {"sasl_password": SecretStr("guessed")}
    with pytest.raises(BrokerError, match="invalid credentials") as refused:
        await create_topics(settings(kafka, unique_name, **wrong))
    assert "guessed" not in str(refused.value)


@pytest.mark.parametrize("wrong", [{"sasl_password": SecretStr("guessed")}, {"ssl_cafile": None}])
async def test_a_refused_login_or_certificate_is_not_waited_for(
    kafka: SecureKafka, unique_name: str, tmp_path: Path, wrong: dict[str, Any]
) -> None:
    refused = settings(
        kafka, unique_name, **login("SCRAM-SHA-256", tmp_path) | {"start_timeout_s": 600} | wrong
    )
    async with asyncio.timeout(60):
        with pytest.raises(BrokerError):
            await answered(refused, asyncio.Event(), lambda: partition_counts(refused, ()))


async def test_a_user_without_rights_is_refused_with_what_it_needs(
    kafka: SecureKafka, unique_name: str, tmp_path: Path
) -> None:
    await create_topics(settings(kafka, unique_name, **login("PLAIN", tmp_path)))
    with pytest.raises(TopicError, match="or this user may not see"):
        await Annotator(
            settings(kafka, unique_name, **login("PLAIN", tmp_path, "mallory")), FakeClassifier()
        ).run()


async def test_an_unknown_authority_is_said_in_one_line(
    kafka: SecureKafka, unique_name: str, tmp_path: Path
) -> None:
    with pytest.raises(BrokerError):
        await create_topics(settings(kafka, unique_name, ssl_cafile=None, **login("PLAIN", tmp_path)))


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({"security_protocol": "SASL_SSL"}, "sasl_username"),
        ({"security_protocol": "SASL_SSL", "sasl_mechanism": "OAUTHBEARER"}, "sasl_token_file"),
        ({"security_protocol": "SSL", "ssl_cafile": "missing.pem"}, "ssl_cafile"),
        ({"bootstrap_servers": None}, "--bootstrap-servers"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(given: dict[str, Any], names: str) -> None:
    with pytest.raises(SettingsError, match=names):
        connection(Settings(**{"bootstrap_servers": "localhost:9092", **given}))
