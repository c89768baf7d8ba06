"""Answers that are no registry's: named, dead-lettered or waited for, and never a stack trace."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from stream.errors import Cause, MessageError
from stream.registry.client import RegistryRefusedError, RegistryUnavailableError, SchemaRegistry
from tests.conftest import Topics
from tests.registry import RegistryServer, registry_server
from tests.stream.registry import written
from tests.stream.registry.test_registry import drained, read, until


@pytest.fixture
async def server() -> AsyncIterator[RegistryServer]:
    async with registry_server() as server:
        yield server


@pytest.mark.parametrize(
    ("status", "told", "says"),
    [
        (
            404,
            '{"error_code": 40401, "message": "Subject not found"}',
            "takes no schema under the subject .*404",
        ),
        (404, '{"error_code": [40401]}', "answered 404"),
        (302, "", "answered 302, which leads elsewhere: name the registry's own address"),
        (200, "<html>gateway</html>", "answered 200 with no JSON"),
        (204, "", "answered 204"),
        (200, "[1]", "answered without a schema's id"),
        (200, '{"id": "1"}', "answered without a schema's id"),
        (200, '{"id": true}', "answered without a schema's id"),
        (200, '{"id": 2147483648}', "answered without a schema's id"),
    ],
)
async def test_an_answer_to_a_new_schema_that_is_none_ends_the_start_in_one_line(
    topics: Topics, server: RegistryServer, status: int, told: str, says: str
) -> None:
    settings = await topics(registry_url=server.url, output_schema="avro")
    server.told[f"POST /subjects/{settings.topics.emotions}-value/versions"] = (status, told)
    with pytest.raises(RegistryRefusedError, match=says) as raised:
        await asyncio.wait_for(drained(settings), 10)
    assert raised.value.exit_code == 3


@pytest.mark.parametrize(
    "told",
    [
        '{"schema": "{}", "references": [{"name": "x"}]}',
        '{"schema": "{}", "references": 1}',
        '{"schema": "{}", "references": ["x"]}',
        '{"schemaType": ["AVRO"]}',
        "{}",
    ],
)
async def test_a_schema_that_is_told_in_another_form_is_a_dead_letter(
    server: RegistryServer, told: str
) -> None:
    server.told["GET /schemas/ids/1"] = (200, told)
    with pytest.raises(MessageError, match="schema 1: ") as raised:
        await asyncio.wait_for(read(server, written.prefixed(1, b"x")), 10)
    assert raised.value.cause is Cause.UNKNOWN_SCHEMA


async def test_who_answers_with_a_list_is_no_registry_and_waited_for(server: RegistryServer) -> None:
    number = server.add("ticket", written.avro_text())
    server.told[f"GET /schemas/ids/{number}"] = (200, "[]")
    async with SchemaRegistry(server.url) as registry:
        waiting = asyncio.create_task(registry.fetch(number))
        await until(lambda: registry.failing is not None)
        assert "answered without a schema" in str(registry.failing)
        server.told.clear()
        await asyncio.wait_for(waiting, 20)


async def test_the_check_of_what_knows_no_kinds_of_schemas_names_it(server: RegistryServer) -> None:
    server.told["GET /schemas/types"] = (404, '{"error_code": 40403}')
    async with SchemaRegistry(server.url) as registry:
        with pytest.raises(RegistryUnavailableError, match="no schema registry"):
            await registry.check()
