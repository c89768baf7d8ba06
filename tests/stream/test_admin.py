"""Topics: created as stated, refused where they differ, checked before a start."""

import asyncio
import logging
import re
import socket

import pytest
from aiokafka.cluster import ClusterMetadata
from aiokafka.errors import (
    InvalidReplicationFactorError,
    NotControllerError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)

from stream import admin, adminclient, visibility
from stream.admin import (
    add_partitions,
    check_topics,
    connected,
    create_topics,
    describe,
    not_added,
    not_created,
    partition_counts,
)
from stream.errors import BrokerError, SettingsError, TopicError
from stream.outages import passes
from stream.settings import Settings
from tests.brokers import Broker
from tests.conftest import MakeSettings, Topics

pytestmark = pytest.mark.every_broker


async def test_all_topics_are_created_with_their_partitions_and_policies(make_settings: MakeSettings) -> None:
    settings = make_settings(partitions=3, retention_days=2)
    states = await create_topics(settings)
    assert [state.spec for state in states] == list(settings.topic_specs())
    for state in states:
        assert state.created
        assert state.partitions == 3
        assert dict(state.config or {}) == state.spec.config


async def test_no_topic_refuses_the_batches_of_ordinary_producers(make_settings: MakeSettings) -> None:
    for state in await create_topics(make_settings(max_message_bytes=1000)):
        assert int((state.config or {}).get("max.message.bytes", 1_048_588)) >= 1_048_588


async def test_creating_again_changes_nothing(make_settings: MakeSettings) -> None:
    settings = make_settings()
    first = await create_topics(settings)
    second = await create_topics(settings)
    assert not any(state.created for state in second)
    assert [state.config for state in second] == [state.config for state in first]


async def test_only_missing_topics_are_created(make_settings: MakeSettings, topics: Topics) -> None:
    first = await topics()
    settings = make_settings(topic_prefix=f"{first.topic_prefix}-2")
    created = {state.spec.name for state in await create_topics(settings) if state.created}
    assert created == {spec.name for spec in settings.topic_specs()} - {settings.input_topic}


async def test_describing_creates_nothing(make_settings: MakeSettings) -> None:
    settings = make_settings()
    for _ in range(2):
        assert not any(state.exists for state in await describe(settings))


async def test_each_difference_is_listed_with_its_remedy(make_settings: MakeSettings, topics: Topics) -> None:
    settings = await topics(partitions=3, retention_days=1, max_message_bytes=1_000_000)
    with pytest.raises(TopicError) as caught:
        await create_topics(make_settings(partitions=4, retention_days=2, max_message_bytes=2_000_000))
    lines = str(caught.value).splitlines()
    messages = [line.strip() for line in lines if line.strip().startswith(f"{settings.input_topic}: ")]
    assert len(messages) == 3
    by_property = {line.split()[1]: line for line in messages}
    partitions = by_property["partitions"]
    assert "is 3, should be 4" in partitions
    assert f"kafka-topics.sh --bootstrap-server {settings.bootstrap_servers} --alter" in partitions
    assert "set partitions to 3" in partitions
    assert "is 86400000, should be 172800000" in by_property["retention.ms"]
    assert "--add-config retention.ms=172800000, or set retention_days" in by_property["retention.ms"]
    assert "is 4000000, should be 8000000" in by_property["max.message.bytes"]


async def test_more_partitions_than_stated_cannot_be_taken_away(
    make_settings: MakeSettings, topics: Topics
) -> None:
    await topics(partitions=3)
    with pytest.raises(TopicError, match="cannot take partitions away, so set partitions to 3"):
        await create_topics(make_settings(partitions=2))


async def test_a_wrong_cleanup_policy_is_refused(make_settings: MakeSettings) -> None:
    base = make_settings()
    # The alerts topic of one prefix is the input topic of another: same partitions, other policy.
    await create_topics(base)
    with pytest.raises(TopicError, match=r"cleanup\.policy is \S*compact\S*, should be delete"):
        await create_topics(
            make_settings(input_topic=base.topics.alerts, topic_prefix="x" + base.topic_prefix)
        )


async def test_what_the_cluster_refuses_is_passed_on(make_settings: MakeSettings) -> None:
    with pytest.raises(BrokerError, match=r"Unable to replicate.* or set replication_factor\."):
        await create_topics(make_settings(replication_factor=3))
    with pytest.raises(TopicError, match="not a topic name"):
        await create_topics(make_settings(input_topic="not a topic name"))


async def test_partitions_that_were_added_are_known_at_once_and_are_not_added_twice(
    broker: Broker, topics: Topics
) -> None:
    if broker.kind == "embedded":
        pytest.skip("the embedded broker adds no partitions")
    settings = await topics(partitions=1)
    assert await add_partitions(settings, settings.input_topic, 3)
    assert await partition_counts(settings, [settings.input_topic]) == {settings.input_topic: 3}
    assert not await add_partitions(settings, settings.input_topic, 3)
    with pytest.raises(TopicError, match=r"nowhere: .*it needs 2 partitions"):
        await add_partitions(settings, "nowhere", 2)


def test_partitions_that_cannot_be_added_while_a_broker_is_down_are_tried_again() -> None:
    down = InvalidReplicationFactorError("only 2 broker(s) are registered")
    assert passes(not_added("emotions", 5, down))
    assert not passes(not_added("emotions", 5, UnknownTopicOrPartitionError("emotions")))
    forbidden = not_added("emotions", 5, TopicAuthorizationFailedError("emotions"))
    assert not passes(forbidden)
    assert "give this user the right" in str(forbidden)


def test_topics_that_cannot_be_created_while_brokers_come_and_go_are_tried_again() -> None:
    moved = {"emotions": (NotControllerError, None), "counts": (InvalidReplicationFactorError, "only 2")}
    assert passes(not_created(moved))
    forbidden = not_created(moved | {"alerts": (TopicAuthorizationFailedError, None)})
    assert not passes(forbidden)
    assert str(forbidden).count("\n") == 3


async def test_a_cluster_that_has_no_controller_for_a_moment_is_one_to_be_waited_for(
    make_settings: MakeSettings, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = await topics(partitions=1)
    monkeypatch.setattr(
        ClusterMetadata, "controller", property(lambda _: None, lambda *_: None), raising=False
    )
    for change in (
        create_topics(make_settings(topic_prefix="another")),
        add_partitions(settings, settings.input_topic, 2),
    ):
        with pytest.raises(BrokerError, match="no controller now") as raised:
            await change
        assert passes(raised.value)


async def test_topics_that_a_broker_does_not_tell_of_in_time_are_named(
    topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = await topics(partitions=2)
    async with connected(settings) as client:
        monkeypatch.setattr(visibility, "TIMEOUT_S", 0.2)
        await visibility.until_visible(client, {settings.input_topic: 2})
        with pytest.raises(TopicError, match=f"not yet known .*: {settings.input_topic}, nowhere: wait"):
            await visibility.until_visible(client, {settings.input_topic: 3, "nowhere": 0})


async def test_check_gives_the_partitions_of_topics_that_exist(topics: Topics) -> None:
    settings = await topics(partitions=3)
    names = [settings.input_topic, settings.topics.emotions]
    assert await check_topics(settings, names) == dict.fromkeys(names, 3)


async def test_a_topic_is_missing_only_where_a_second_look_does_not_find_it_either(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = make_settings(partitions=1)
    monkeypatch.setattr(admin, "_LOOK_AGAIN_S", 3.0)
    counts, _ = await asyncio.gather(check_topics(settings, [settings.input_topic]), create_topics(settings))
    assert counts == {settings.input_topic: 1}


async def test_check_names_missing_topics_and_the_command_that_creates_them(
    make_settings: MakeSettings, topics: Topics
) -> None:
    settings = await topics()
    with pytest.raises(TopicError) as caught:
        await check_topics(settings, [settings.input_topic, "nowhere-1", "nowhere-2"])
    assert re.fullmatch(r".*nowhere-1, nowhere-2.*emotion-stream topics create", str(caught.value))
    assert await partition_counts(settings, ["nowhere-1"]) == {}


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        pytest.param("127.0.0.1:1", "Connect call failed", id="nothing listens"),
        pytest.param("no-such-host.invalid:9092", "no-such-host.invalid", id="no such host"),
    ],
)
async def test_an_unreachable_broker_is_one_line_and_nothing_in_the_log(
    address: str, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # as our command line does
    with caplog.at_level(logging.INFO), pytest.raises(BrokerError) as caught:
        await check_topics(Settings(bootstrap_servers=address), ["messages"])
    assert re.fullmatch(
        f"no Kafka broker answers at {re.escape(address)} .*{reason}.*bootstrap_servers.*", str(caught.value)
    )
    assert not [record for record in caplog.records if record.name.startswith("aiokafka")]


def test_looks_that_overlap_give_the_log_back_when_the_last_one_ends() -> None:
    logger = logging.getLogger("aiokafka")
    before = (logger.propagate, logger.level)
    first, second = adminclient._reasons_instead_of_logs(), adminclient._reasons_instead_of_logs()
    first.__enter__()
    heard = second.__enter__()
    first.__exit__(None, None, None)
    logger.error("no route")
    assert ([record.getMessage() for record in heard], logger.propagate) == (["no route"], False)
    second.__exit__(None, None, None)
    assert (logger.propagate, logger.level) == before


async def test_a_broker_that_accepts_and_is_silent_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream.adminclient.TIMEOUT_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = Settings(bootstrap_servers=f"127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(BrokerError, match="no Kafka broker answers"):
            await check_topics(settings, ["messages"])


async def test_no_cluster_named_is_a_wrong_setting() -> None:
    with pytest.raises(SettingsError, match="--bootstrap-servers"):
        await check_topics(Settings(), ["messages"])
