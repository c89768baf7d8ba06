"""Each program does its work with just the rights that docs/rights.md lists: the broker grants no others."""

import asyncio
import itertools
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import orjson
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.admin import CreateAclsRequest, DescribeAclsRequest
from pydantic import SecretStr

from model.fake import FakeClassifier
from stream.admin import connected, create_topics
from stream.annotate.app import Annotator
from stream.annotate.optouts import following
from stream.cloudevents import to_json
from stream.commands.topics import check
from stream.dashboard.feed import Feed
from stream.dashboard.reviewer import Reviewer
from stream.errors import BrokerError
from stream.monitor.app import running
from stream.monitor.reviews import forget, opt_out, review
from stream.privacy import OptOut, Pseudonyms
from stream.processes import environment_of
from stream.rights import RIGHTS, Right
from stream.settings import Settings
from tests.records import Record, produce, read_committed_all
from tests.secure_kafka import PROGRAMS, USERS, SecureKafka
from tests.stream import commands
from tests.stream.dashboard.scene import event
from tests.stream.monitor.receivers import http_receiver
from tests.stream.monitor.test_app import signal_record
from tests.stream.monitor.test_delivery import RULES, alert, eventually, story

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]

_RESOURCES: Final = {"topic": 2, "group": 3, "transactional id": 5}
_OPERATIONS: Final = dict(
    zip(
        ("read", "write", "create", "alter", "describe", "describe configs"), (3, 4, 5, 7, 8, 10), strict=True
    )
)
_LITERAL, _PREFIXED, _ALLOW = 3, 4, 3
_ANY: Final = 1
_users = iter(PROGRAMS)


class Cluster:
    """Settings of somebody who may do everything, and of users who may do what a program needs."""

    def __init__(self, kafka: SecureKafka, name: str, folder: Path) -> None:
        self._kafka = kafka
        self.all = Settings(
            bootstrap_servers=kafka.bootstrap_servers,
            input_topic=f"{name}.messages",
            topic_prefix=f"{name}.emotions",
            group_id=f"{name}.group",
            monitor_group_id=f"{name}.monitor",
            state_dir=folder / "state",
            partitions=1,
            checkpoint_interval_ms=50,
            session_timeout_ms=6000,
            author_key=SecretStr("a key for the tests"),
        )

    async def as_user_of(self, program: str, but: Right | None = None, **overrides: Any) -> Settings:
        """A user of its own for a program, with the rights that are listed for it; ``but`` replaces one."""
        user = next(_users)
        rights = [but if but is not None and but.name == right.name else right for right in RIGHTS[program]]
        async with connected(self.all) as admin:
            grants = [request for right in rights for request in _grants(right, self.all, user)]
            for request in grants:
                response = await admin._send_to_controller(request)
                assert all(code == 0 for code, _ in response.creation_responses), response
            await _in_force(admin, user, len(grants))
        login = {"sasl_username": user, "sasl_password": SecretStr(USERS[user])}
        servers = {"bootstrap_servers": self._kafka.secure_servers, "ssl_cafile": self._kafka.ca_file}
        return self.all.model_copy(update={"security_protocol": "SASL_SSL", **servers, **login, **overrides})


def _grants(right: Right, settings: Settings, user: str) -> Iterator[CreateAclsRequest]:
    pattern = _PREFIXED if right.prefixed else _LITERAL
    for name, operation in itertools.product(right.names_for(settings), right.operations):
        yield CreateAclsRequest(
            _RESOURCES[right.resource],
            name,
            pattern,
            f"User:{user}",
            "*",
            _OPERATIONS[operation],
            _ALLOW,
        )


async def _in_force(admin: AIOKafkaAdminClient, user: str, count: int) -> None:
    """Wait until the broker goes by these rights: it says that they are written before it has read them."""
    every = DescribeAclsRequest(_ANY, None, _ANY, f"User:{user}", None, _ANY, _ANY)
    async with asyncio.timeout(30):
        while True:
            response = await admin._send_request(every)
            assert response.error_code == 0, response
            if sum(len(acls) for *_, acls in response.resources) >= count:
                return
            await asyncio.sleep(0.02)


@pytest.fixture
def cluster(secure_kafka: SecureKafka, unique_name: str, tmp_path: Path) -> Cluster:
    return Cluster(secure_kafka, unique_name[-40:].lstrip("-"), tmp_path)


async def run(settings: Settings, monkeypatch: pytest.MonkeyPatch, *arguments: Any, **options: Any) -> str:
    """Run a command with these settings; it must succeed."""
    for name, value in environment_of(settings).items():
        monkeypatch.setenv(name, value)
    done = await commands.run_beside(*arguments, **options)
    assert done.exit_code == 0, f"{arguments}: {done.output}"
    return done.output


async def count(cluster: Cluster, topic: str) -> int:
    return len(await read_committed_all(str(cluster.all.bootstrap_servers), topic))


@pytest.mark.parametrize("guarantee", ["exactly_once", "at_least_once"])
async def test_the_annotator(cluster: Cluster, guarantee: str) -> None:
    await create_topics(cluster.all)
    values = [orjson.dumps({"text": "joy: at last", "author": "kim"}), b"{oops"]
    await produce(str(cluster.all.bootstrap_servers), cluster.all.input_topic, values)
    user = await cluster.as_user_of("annotate", drain=True, optout_topic=True, guarantee=guarantee)
    if guarantee == "at_least_once":  # the same rights do for a pattern that matches the same topic
        given = {name: getattr(user, name) for name in user.model_fields_set - {"input_topic"}}
        user = Settings(**given, input_pattern=re.escape(user.input_topic))
    await Annotator(user, FakeClassifier()).run()
    names = cluster.all.topics
    assert [await count(cluster, topic) for topic in (names.emotions, names.signals, names.dlq)] == [1, 1, 1]


async def test_an_annotator_that_may_not_write_to_one_topic_says_so_and_writes_nothing(
    cluster: Cluster,
) -> None:
    """It may see that topic, so nothing looks wrong until something is to be written."""
    await create_topics(cluster.all)
    signals = cluster.all.topics.signals
    user = await cluster.as_user_of("annotate", but=Right("topic", "{signals}", ("describe",)))
    value = b'{"text": "joy: at last", "author": "kim"}'
    await produce(str(cluster.all.bootstrap_servers), cluster.all.input_topic, [value])
    async with asyncio.timeout(60):
        with pytest.raises(BrokerError, match=rf"refused {signals} .*WRITE"):
            await Annotator(user, FakeClassifier()).run()
    assert await count(cluster, cluster.all.topics.emotions) == 0


async def test_an_annotator_that_may_not_read_who_opted_out_does_not_start(cluster: Cluster) -> None:
    await create_topics(cluster.all)
    await produce(str(cluster.all.bootstrap_servers), cluster.all.topics.optout, [Record(b"1", b"kim")])
    user = await cluster.as_user_of("topics list, topics check")
    with pytest.raises(BrokerError, match="this user needs READ on what is read"):
        async with asyncio.timeout(30), following(user, 1, OptOut(Pseudonyms(b"a key")), asyncio.Event()):
            pytest.fail("not all opt-outs are known")


async def test_the_monitor_with_a_webhook(cluster: Cluster, tmp_path: Path) -> None:
    await create_topics(cluster.all)
    servers, names = str(cluster.all.bootstrap_servers), cluster.all.topics
    rules = tmp_path / "rules.toml"
    rules.write_text(RULES)
    async with http_receiver(answer=lambda number: 204 if number == 0 else 410) as receiver:
        receives = {"webhook_url": receiver.url, "webhook_secret": SecretStr("a secret that both share")}
        async with running(await cluster.as_user_of("monitor", rules_file=rules, **receives)):
            await produce(servers, names.signals, map(signal_record, story(sad=6, calm=8)))
            await eventually(lambda: bool(receiver.taken), timeout_s=40)

            async def given_up() -> bool:
                return await count(cluster, names.undelivered) == 1

            await eventually(given_up, timeout_s=20)


async def test_the_dashboard(cluster: Cluster) -> None:
    await create_topics(cluster.all)
    servers, names, known = str(cluster.all.bootstrap_servers), cluster.all.topics, alert()
    await produce(servers, names.emotions, [to_json(event(0, datetime.now(UTC), "joy"))])
    await produce(servers, names.alerts, [Record(to_json(known.model_dump()), known.id.encode())])
    user = await cluster.as_user_of("dashboard")
    feed, reviewer = Feed(user), Reviewer(user)
    reading = asyncio.create_task(feed.run())
    try:
        await eventually(
            lambda: feed.flow.version == 1 and feed.queue.item(known.id) is not None, timeout_s=30
        )
        item = feed.queue.item(known.id)
        assert item is not None
        await reviewer.write(item, "confirmed", "kim", None)
        await eventually(lambda: bool(feed.queue.audit), timeout_s=20)
        assert feed.reach.problem is None
    finally:
        reading.cancel()
        await asyncio.gather(reading, reviewer.stop(), return_exceptions=True)


async def test_what_people_do_with_alerts(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    await create_topics(cluster.all)
    servers, names = str(cluster.all.bootstrap_servers), cluster.all.topics
    known = alert()
    await produce(
        servers, names.alerts, [Record(orjson.dumps(known.model_dump(mode="json")), known.id.encode())]
    )
    await run(await cluster.as_user_of("monitor --check"), monkeypatch, "monitor", "--check")
    reader = await cluster.as_user_of("alerts list, alerts show")
    assert known.id in await run(reader, monkeypatch, "alerts", "list", "--json")
    reviewer = await cluster.as_user_of("alerts ack, confirm, dismiss")
    await review(reviewer, known.id, "confirmed", reviewer="kim", note=None)
    assert await count(cluster, names.reviews) == 1
    tester = await cluster.as_user_of("backtest --from TOPIC")
    await produce(servers, names.signals, map(signal_record, story(sad=6, calm=0)))
    commands.write("rules.toml", RULES)
    await run(tester, monkeypatch, "backtest", "--rules=rules.toml", f"--from={names.signals}", "--json")
    forgetter = await cluster.as_user_of("forget")
    await opt_out(forgetter, str(known.author))
    assert await forget(forgetter, str(known.author)) == 1


async def test_messages_in_and_back_in(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    await create_topics(cluster.all)
    commands.write("messages.jsonl", '{"text": "joy: hello", "author": "kim"}\n')
    await run(await cluster.as_user_of("produce"), monkeypatch, "produce", "messages.jsonl")
    servers = str(cluster.all.bootstrap_servers)
    await produce(servers, cluster.all.input_topic, [b"{oops"])
    await Annotator(cluster.all.model_copy(update={"drain": True}), FakeClassifier()).run()
    tailing = await cluster.as_user_of("tail")
    for name in ("emotions", "dlq", "alerts", "undelivered"):
        await run(tailing, monkeypatch, "tail", name, "--from-beginning", "--to-end", "--json")
    looking = await cluster.as_user_of("replay --dry-run")
    assert "1  dead letters would be sent" in await run(looking, monkeypatch, "replay", "--dry-run")
    sending = await cluster.as_user_of("replay")
    assert "1  dead letters sent" in await run(sending, monkeypatch, "replay")
    assert await count(cluster, cluster.all.input_topic) == 3


async def test_topics(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    await run(await cluster.as_user_of("topics create"), monkeypatch, "topics", "create")
    looking = await cluster.as_user_of("topics list, topics check")
    assert cluster.all.topics.optout in await run(looking, monkeypatch, "topics", "list", "--json")
    await run(looking, monkeypatch, "topics", check.name)


def test_every_program_that_asks_a_cluster_is_listed() -> None:
    from stream.cli import COMMANDS

    listed = {word for program in RIGHTS for word in program.replace(",", "").split()}
    assert set(COMMANDS) - listed == {"classify", "model", "settings", "demo", "bench", "broker"}
    assert len(list(itertools.chain(*RIGHTS.values()))) == len({(p, r) for p in RIGHTS for r in RIGHTS[p]})
