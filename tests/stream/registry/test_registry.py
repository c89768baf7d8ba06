"""Messages with a schema: read by it, dead-lettered where it is unknown, waited for in an outage."""

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trustme
from structlog.testing import capture_logs

from model.fake import FakeClassifier
from stream.annotate.app import Annotator
from stream.errors import Cause, MessageError, SettingsError
from stream.events import EmotionEvent
from stream.registry.client import RegistryRefusedError, RegistryUnavailableError, SchemaRegistry
from stream.settings import Settings
from tests.brokers import free_port
from tests.conftest import Topics
from tests.records import Record, produce, read_committed_all
from tests.registry import RegistryServer, registry_server
from tests.stream.commands import ROOT, run_beside
from tests.stream.registry import written
from tests.stream.test_starting import answer, until_it_answers

RULES = ROOT / "stream" / "monitor" / "rules.toml"
TICKET = {"body": "joy", "user": {"id": 7}, "sent_at": 1762164000000, "queue": "post"}


@pytest.fixture
async def server() -> AsyncIterator[RegistryServer]:
    async with registry_server() as server:
        yield server


async def read(server: RegistryServer, value: bytes, **arguments: Any) -> Any:
    async with SchemaRegistry(server.url, **arguments) as registry:
        if (number := registry.missing(value)) is not None:
            await registry.fetch(number)
        return json.loads(registry.json_of(value))


def with_protobuf(server: RegistryServer) -> int:
    server.add("user", written.proto_text(written.proto_user()), "PROTOBUF")
    reference = {"name": "user.proto", "subject": "user", "version": 1}
    return server.add("ticket", written.proto_text(written.proto_ticket()), "PROTOBUF", [reference])


async def test_avro_is_read_by_the_schema_it_was_written_with(server: RegistryServer) -> None:
    number = server.add("ticket", written.avro_text())
    assert await read(server, written.avro(number, TICKET)) == {
        **TICKET,
        "sent_at": "2025-11-03T10:00:00+00:00",
    }


async def test_avro_schemas_may_name_others(server: RegistryServer) -> None:
    user = written.AVRO["fields"][1]["type"]  # type: ignore[index]
    server.add("user", json.dumps(user))
    schema = {"type": "record", "name": "T", "fields": [{"name": "user", "type": "User"}]}
    number = server.add(
        "t", json.dumps(schema), references=[{"name": "User", "subject": "user", "version": 1}]
    )
    inline = {"type": "record", "name": "T", "fields": [{"name": "user", "type": user}]}
    assert await read(server, written.avro(number, {"user": {"id": 7}}, inline)) == {"user": {"id": 7}}


@pytest.mark.parametrize("subject", ["desk/v1/user.proto", "user?version=2#é", ":.desk:user", "50% off"])
async def test_a_schema_that_it_names_may_have_any_subject(server: RegistryServer, subject: str) -> None:
    server.add(subject, json.dumps(written.AVRO["fields"][1]["type"]))  # type: ignore[index]
    schema = {"type": "record", "name": "T", "fields": [{"name": "user", "type": "User"}]}
    reference = {"name": "User", "subject": subject, "version": 1}
    number = server.add("t", json.dumps(schema), references=[reference])
    inline = {**schema, "fields": [written.AVRO["fields"][1]]}  # type: ignore[index]
    assert await read(server, written.avro(number, {"user": {"id": 7}}, inline)) == {"user": {"id": 7}}


@pytest.mark.parametrize(
    ("path", "type_name", "content"),
    [
        (b"\x00", "desk.Other", {"text": "first type, abbreviated"}),
        (b"\x02\x00", "desk.Other", {"text": "first type, in full"}),
        (b"\x02\x02", "desk.Ticket", {"body": "b", "user": {"id": "7"}, "sent_at": "2025-11-03T10:00:00Z"}),
        (b"\x04\x02\x00", "desk.Ticket.Inner", {"text": "a type inside another"}),
    ],
)
async def test_protobuf_is_read_by_the_type_that_its_indexes_name(
    server: RegistryServer, path: bytes, type_name: str, content: dict[str, Any]
) -> None:
    number = with_protobuf(server)
    assert await read(server, written.proto(number, path, type_name, content)) == content


async def test_json_schema_is_read_as_json(server: RegistryServer) -> None:
    number = server.add("ticket", '{"type": "object"}', "JSON")
    assert await read(server, written.prefixed(number, json.dumps(TICKET).encode())) == TICKET


async def test_a_value_without_a_prefix_is_left_alone(server: RegistryServer) -> None:
    assert await read(server, b'{"text": "x"}') == {"text": "x"}
    assert server.asked == []


async def test_a_schema_is_asked_for_once(server: RegistryServer) -> None:
    number = server.add("ticket", written.avro_text())
    async with SchemaRegistry(server.url) as registry:
        await asyncio.gather(*(registry.fetch(number) for _ in range(5)))
        assert registry.missing(written.avro(number, TICKET)) is None
    assert server.asked == [f"/schemas/ids/{number}"]


async def test_an_unknown_schema_and_one_that_is_none_are_dead_letters(server: RegistryServer) -> None:
    with pytest.raises(MessageError, match="no schema with the id 99") as raised:
        await read(server, written.prefixed(99, b"x"))
    assert raised.value.cause is Cause.UNKNOWN_SCHEMA
    number = server.add("broken", '{"type": "recordd"}')
    with pytest.raises(MessageError, match=f"schema {number}: not a schema") as raised:
        await read(server, written.prefixed(number, b"x"))
    assert raised.value.cause is Cause.UNKNOWN_SCHEMA


@pytest.mark.parametrize("number", [2**31, 2**32 - 1])
async def test_an_id_that_no_schema_can_have_is_a_dead_letter_of_which_nobody_is_asked(
    server: RegistryServer, number: int
) -> None:
    with pytest.raises(MessageError, match=f"no schema can have the id {number}") as raised:
        await asyncio.wait_for(read(server, written.prefixed(number, b"x")), 20)
    assert raised.value.cause is Cause.UNKNOWN_SCHEMA
    assert server.asked == []


@pytest.mark.parametrize("status", [403, 404, 409, 422])
async def test_a_schema_that_a_well_registry_refuses_to_give_is_a_dead_letter(
    server: RegistryServer, status: int
) -> None:
    number = server.add("ticket", written.avro_text())
    server.refused[number] = status
    with pytest.raises(MessageError, match=f"no schema with the id {number} for this user") as raised:
        await asyncio.wait_for(read(server, written.avro(number, TICKET)), 20)
    assert raised.value.cause is Cause.UNKNOWN_SCHEMA


@pytest.mark.parametrize("status", [403, 404])
async def test_who_refuses_everything_is_no_registry_and_waited_for(
    server: RegistryServer, status: int
) -> None:
    number = server.add("ticket", written.avro_text())
    server.away = status
    async with SchemaRegistry(server.url) as registry:
        waiting = asyncio.create_task(registry.fetch(number))
        await until(lambda: sum("ids" in path for path in server.asked) > 3)
        assert str(status) in str(registry.failing)
        server.away = 0
        await asyncio.wait_for(waiting, 20)
        assert registry.missing(written.avro(number, TICKET)) is None


async def test_a_schema_that_arrives_a_moment_later_is_no_dead_letter(server: RegistryServer) -> None:
    async def register() -> None:
        await asyncio.sleep(0.3)
        server.add("ticket", written.avro_text())

    _, found = await asyncio.gather(register(), read(server, written.avro(1, TICKET)))
    assert found["body"] == "joy"


@pytest.mark.parametrize("kind", ["AVRO", "PROTOBUF"])
@pytest.mark.parametrize("payload", [b"", b"\x80", b"\xff" * 40, b"\x02\x02\xff\xff\xff", b"\x06\x01"])
async def test_bytes_that_do_not_fit_their_schema_are_a_dead_letter(
    server: RegistryServer, kind: str, payload: bytes
) -> None:
    number = server.add("ticket", written.avro_text()) if kind == "AVRO" else with_protobuf(server)
    with pytest.raises(MessageError, match=f"(?i){kind}") as raised:
        await read(server, written.prefixed(number, payload))
    assert raised.value.cause is Cause.SCHEMA_MISMATCH


async def test_what_is_left_behind_a_value_of_avro_is_a_dead_letter(server: RegistryServer) -> None:
    number = server.add("ticket", written.avro_text())
    with pytest.raises(MessageError, match="2 bytes are left"):
        await read(server, written.avro(number, TICKET) + b"ab")


async def test_an_outage_is_waited_for(server: RegistryServer) -> None:
    number = server.add("ticket", written.avro_text())
    server.away = 503
    async with SchemaRegistry(server.url) as registry:
        waiting = asyncio.create_task(registry.fetch(number))
        await until(lambda: registry.failing is not None)
        assert "503" in str(registry.failing)
        server.away = 0
        await asyncio.wait_for(waiting, 10)
        assert registry.failing is None


async def test_the_next_address_is_asked_where_one_is_silent(server: RegistryServer) -> None:
    number = server.add("ticket", written.avro_text())
    async with SchemaRegistry(f"http://127.0.0.1:9, {server.url}/") as registry:
        await registry.fetch(number)
        assert registry.missing(written.avro(number, TICKET)) is None


async def test_a_login_is_used_and_a_refusal_named(server: RegistryServer) -> None:
    server.login = ("kim", "secret")
    async with SchemaRegistry(server.url) as registry:
        with pytest.raises(RegistryUnavailableError, match="answered 401: see registry_username"):
            await registry.check()
    async with SchemaRegistry(server.url, username="kim", password="secret") as registry:
        await registry.check()


@pytest.mark.parametrize("wrong", ["registry:8081", "", "ftp://x", "http://a,ftp://desk:s3cret@b"])
def test_a_wrong_address_is_refused_and_not_shown(wrong: str) -> None:
    with pytest.raises(SettingsError, match="registry_url") as refused:
        SchemaRegistry(wrong)
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize("password", ["s3cret", "12/s3cret", "12#s3cret", "s3cr@et"])
async def test_a_login_in_the_address_is_not_shown(
    server: RegistryServer, password: str, caplog: pytest.LogCaptureFixture
) -> None:
    host = server.url.removeprefix("http://")
    server.away = 503
    async with SchemaRegistry(f"http://127.0.0.1:9, http://desk:{password}@{host}/") as registry:
        fetching = asyncio.create_task(registry.fetch(7))
        await until(lambda: registry.failing is not None)
        fetching.cancel()
        with pytest.raises(RegistryUnavailableError, match="registry_url") as failed:
            await registry.check()
    shown = f"{registry.hosts} {registry.failing} {failed.value} {caplog.text}"
    assert "s3cr" not in shown
    assert registry.hosts == ("http://127.0.0.1:9", server.url)


async def drained(settings: Settings) -> Annotator:
    annotator = Annotator(settings.model_copy(update={"drain": True}), FakeClassifier())
    await annotator.run()
    return annotator


def values(server: RegistryServer) -> list[bytes]:
    number, ticket = server.add("ticket", written.avro_text()), with_protobuf(server)
    plain = server.add("plain", '{"type": "object"}', "JSON")
    return [
        written.avro(number, {**TICKET, "body": "joy: avro"}),
        written.prefixed(plain, b'{"body": "fear: json schema", "user": {"id": 7}, "queue": "post"}'),
        written.proto(ticket, b"\x02\x02", "desk.Ticket", {"body": "anger: protobuf", "user": {"id": 7}}),
        b'{"body": "love: no schema", "user": {"id": 7}}',
        written.prefixed(9999, b"unknown"),
        written.prefixed(number, b"\xff"),
    ]


async def test_messages_of_all_kinds_are_labelled_side_by_side(
    topics: Topics, server: RegistryServer
) -> None:
    settings = await topics(
        partitions=1, registry_url=server.url, text_from="body", author_from="user.id", include_text=True
    )
    servers = str(settings.bootstrap_servers)
    await produce(servers, settings.input_topic, values(server))
    await drained(settings)
    events = [
        json.loads(one.value or b"") for one in await read_committed_all(servers, settings.topics.emotions)
    ]
    assert [event["text"].split(":")[0] for event in events] == ["joy", "fear", "anger", "love"]
    assert len({event["author"] for event in events}) == 1
    dead = await read_committed_all(servers, settings.topics.dlq)
    assert [dict(one.headers)["dlq_cause"] for one in dead] == [b"unknown_schema", b"schema_mismatch"]
    assert dead[0].value == written.prefixed(9999, b"unknown")


async def test_a_partition_waits_for_the_registry_and_says_so(topics: Topics, server: RegistryServer) -> None:
    settings = await topics(partitions=2, registry_url=server.url, text_from="body", stall_timeout_s=2)
    servers = str(settings.bootstrap_servers)
    server.away = 503
    number = server.add("ticket", written.avro_text())
    avro = Record(written.avro(number, TICKET), partition=0)
    plain = [Record(b'{"body": "joy"}', partition=0), Record(b'{"body": "fear"}', partition=1)]
    await produce(servers, settings.input_topic, [*plain, avro])
    annotator = Annotator(settings, FakeClassifier())
    running = asyncio.create_task(annotator.run())
    try:
        await until(lambda: "wait for the schema registry" in (annotator.unready() or ""))
        await until(lambda: labelled(annotator) == 2)
        await produce(servers, settings.input_topic, [avro])
        await asyncio.sleep(3)
        assert not running.done(), "a restart would not bring the registry back"
        assert annotator.unhealthy() is None
        server.away = 0
        await until(lambda: labelled(annotator) == 4)
        await until(lambda: annotator.unready() is None)
        await produce(servers, settings.input_topic, [avro] * 3)
        await until(lambda: labelled(annotator) == 7)
    finally:
        annotator.stop()
        await running
    assert await read_committed_all(servers, settings.topics.dlq) == []


async def test_what_can_be_read_does_not_wait_for_the_schema_of_what_comes_after_it(
    topics: Topics, server: RegistryServer
) -> None:
    settings = await topics(partitions=1, registry_url=server.url, text_from="body")
    number, kept_back = server.add("ticket", written.avro_text()), server.add("plain", "{}", "JSON")
    server.told[f"GET /schemas/ids/{kept_back}"] = (503, "")
    avro, plain = written.avro(number, TICKET), written.prefixed(kept_back, b'{"body": "joy"}')
    await produce(str(settings.bootstrap_servers), settings.input_topic, [avro, avro, plain, avro])
    annotator = Annotator(settings, FakeClassifier())
    running = asyncio.create_task(annotator.run())
    try:
        await until(lambda: labelled(annotator) == 2, timeout_s=10)
        server.told.clear()
        await until(lambda: labelled(annotator) == 4)
    finally:
        annotator.stop()
        await running


def labelled(annotator: Annotator) -> float:
    return annotator.metrics.registry.get_sample_value("emotion_messages_total", {"outcome": "labelled"}) or 0


async def until(condition: Any, timeout_s: float = 30.0) -> None:
    give_up_at = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < give_up_at
        await asyncio.sleep(0.02)  # what is waited for has no event


async def test_the_check_before_a_start_asks_the_registry(topics: Topics, server: RegistryServer) -> None:
    settings = await topics()
    arguments = ("annotate", "--check", "--model", "fake", "--registry-url", server.url)
    assert server.url in (await run_beside(*arguments, settings=settings)).stdout
    server.away = 503
    failed = await run_beside(*arguments, settings=settings)
    assert failed.exit_code == 3
    assert f"no schema registry (registry_url): {server.url} answered 503" in failed.stderr


@pytest.mark.parametrize("kind", ["avro", "json", "protobuf"])
async def test_labelled_events_are_written_with_their_schema_where_that_is_asked_for(
    topics: Topics, server: RegistryServer, kind: str
) -> None:
    settings = await topics(partitions=1, registry_url=server.url, output_schema=kind)
    servers = str(settings.bootstrap_servers)
    await produce(
        servers, settings.input_topic, [b'{"text": "joy: \xc3\xbc", "author": "kim"}', b'{"text": "fear"}']
    )
    await drained(settings)
    await drained(settings)
    records = await read_committed_all(servers, settings.topics.emotions)
    events = [EmotionEvent.model_validate(await read(server, record.value or b"")) for record in records]
    assert [event.label for event in events] == ["joy", "fear"]
    assert events[0].author is not None
    assert events[1].author is None
    assert sum(path.endswith("-value/versions") for path in server.asked) == 1, "registered once"
    shown = await run_beside(
        "tail", "emotions", "--from-beginning", "--to-end", "--registry-url", server.url, settings=settings
    )
    assert [json.loads(line)["label"] for line in shown.stdout.splitlines()] == ["joy", "fear"]
    rules = ("backtest", "--rules", RULES, "--from", settings.topics.emotions, "--registry-url", server.url)
    tried = await run_beside(*rules, settings=settings)
    assert tried.exit_code == 0, tried.output


async def test_a_schema_that_the_registry_refuses_ends_the_start(
    topics: Topics, server: RegistryServer
) -> None:
    settings = await topics(registry_url=server.url, output_schema="avro")
    server.incompatible = True
    with pytest.raises(SettingsError, match=r"output_schema.*incompatible"):
        await drained(settings)
    with pytest.raises(SettingsError, match="set registry_url"):
        Annotator(settings.model_copy(update={"registry_url": None}), FakeClassifier())


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_registry_that_is_away_at_the_start_is_waited_for_and_named(
    topics: Topics, server: RegistryServer, status: int
) -> None:
    port = free_port()
    settings = await topics(
        partitions=1, registry_url=server.url, output_schema="avro", http_port=port, drain=True
    )
    await produce(str(settings.bootstrap_servers), settings.input_topic, [b'{"text": "joy"}'])
    server.away = status
    with capture_logs() as logs:
        running = asyncio.create_task(Annotator(settings, FakeClassifier()).run())
        reason = await until_it_answers(port, "/readyz", 503)
    assert "waiting for the schema registry (start_timeout_s)" in [one["event"] for one in logs]
    assert f"no schema registry (registry_url): {server.url} answered {status}" in reason
    assert (await answer(port, "/healthz"))[0] == 200
    server.away = 0
    await asyncio.wait_for(running, 30)
    assert len(await read_committed_all(str(settings.bootstrap_servers), settings.topics.emotions)) == 1


async def test_a_registry_that_stays_away_ends_the_start_after_a_while(topics: Topics) -> None:
    settings = await topics(
        registry_url=f"http://127.0.0.1:{free_port()}", output_schema="avro", start_timeout_s=1.0
    )
    began = time.monotonic()
    with pytest.raises(RegistryUnavailableError, match=r"registry_url.*ClientConnectorError") as raised:
        await drained(settings)
    assert raised.value.exit_code == 3
    assert time.monotonic() - began > 0.5


async def test_a_stop_is_heard_while_the_registry_says_nothing(topics: Topics) -> None:
    asked = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await reader.read()  # until whoever asks has gone
        writer.close()
        await writer.wait_closed()

    listening = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    settings = await topics(registry_url=f"http://127.0.0.1:{port}", output_schema="avro")
    annotator = Annotator(settings, FakeClassifier())
    running = asyncio.create_task(annotator.run())
    await asyncio.wait_for(asked.wait(), 10)
    annotator.stop()
    await asyncio.wait_for(running, 5)
    listening.close()


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_a_registry_that_refuses_us_is_not_waited_for(
    topics: Topics, server: RegistryServer, status: int
) -> None:
    settings = await topics(registry_url=server.url, output_schema="avro")
    server.away = status
    with pytest.raises(RegistryRefusedError, match=f"registry_url.*answered {status}") as raised:
        await asyncio.wait_for(drained(settings), 10)
    assert raised.value.exit_code == 3
    assert len(server.asked) == 1


async def test_a_registry_whose_certificate_nobody_knows_is_not_waited_for(
    topics: Topics,
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    async with registry_server(context) as server:
        settings = await topics(registry_url=server.url, output_schema="avro")
        with pytest.raises(RegistryRefusedError, match="certificate is not believed: see registry_cafile"):
            await asyncio.wait_for(drained(settings), 10)


async def test_while_one_of_several_registries_is_away_all_are_asked_again(
    topics: Topics, server: RegistryServer
) -> None:
    urls = f"{server.url},http://127.0.0.1:{free_port()}"
    settings = await topics(registry_url=urls, output_schema="avro", start_timeout_s=1.0)
    server.away = 403
    with pytest.raises(RegistryUnavailableError, match=r"answered 403.*; .*ClientConnectorError"):
        await drained(settings)
    assert len(server.asked) > 1
