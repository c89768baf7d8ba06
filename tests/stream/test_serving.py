"""The web servers over real sockets: who gets an answer, and what becomes of who does not get on."""

import asyncio
import base64
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from aiohttp import web

from stream import logs
from stream import serving as module
from stream.errors import SettingsError
from stream.serving import Access, json_answer, one_of, parameters, serving, whole_number
from stream.settings import Settings

TOKEN = "a token of thirty-two characters"


async def rows(request: web.Request) -> web.Response:
    given = parameters(request, ("limit", "state"))
    one_of(given, "state", ("firing", "held"))
    return json_answer({"limit": whole_number(given, "limit", least=1, most=1000)})


async def named(request: web.Request) -> web.Response:
    return json_answer(parameters(request, ("channel",)))


async def broken(_: web.Request) -> web.Response:
    raise ZeroDivisionError


async def large(_: web.Request) -> web.Response:
    return web.Response(body=b"x" * 32_000_000)


async def healthy(_: web.Request) -> web.Response:
    return json_answer({"status": "ok"})


@contextlib.asynccontextmanager
async def server(**settings: Any) -> AsyncIterator[int]:
    paths = {"/rows": rows, "/named": named, "/broken": broken, "/large": large}
    routes = [web.get(path, answer) for path, answer in paths.items()]
    probes = [web.get("/healthz", healthy), web.get("/readyz", healthy)]
    async with serving(Settings(**{"http_port": 0} | settings), [*routes, *probes]) as port:
        yield port


async def get(port: int, path: str, **headers: str) -> tuple[int, Any, Any]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}{path}", headers=headers) as response,
    ):
        return response.status, await response.json(), response.headers


async def test_off_the_loopback_address_there_is_no_server_without_a_token() -> None:
    for host in ("0.0.0.0", "::", "192.0.2.1", "", "example.org"):
        with pytest.raises(SettingsError, match="EMOTION_HTTP_TOKEN"):
            Access.of(Settings(http_host=host))
    for host in ("127.0.0.1", "127.8.8.8", "::1", "localhost"):
        assert Access.of(Settings(http_host=host)).token is None


async def test_a_host_that_is_no_name_is_said() -> None:
    with pytest.raises(SettingsError, match=r"http_host 'a\.\.b' is no name"):
        async with server(http_host="a..b", http_token=TOKEN):
            pass


async def test_with_a_token_only_the_probes_are_open() -> None:
    async with server(http_host="0.0.0.0", http_token=TOKEN) as port:
        assert (await get(port, "/healthz"))[0] == 200
        assert (await get(port, "/readyz"))[0] == 200
        status, body, headers = await get(port, "/rows")
        assert status == 401
        assert "EMOTION_HTTP_TOKEN" in body["error"]
        assert headers["WWW-Authenticate"].startswith("Bearer, Basic")
        assert (await get(port, "/none"))[0] == 401, "what there is, is not told either"
        for wrong in (
            "",
            "Bearer",
            "Bearer x",
            f"Token {TOKEN}",
            f"Bearer {TOKEN}x",
            "Basic !",
            "Basic eA==",
        ):
            assert (await get(port, "/rows", Authorization=wrong))[0] == 401, wrong
        assert (await get(port, "/rows", Authorization=f"Bearer {TOKEN}"))[0] == 200
        basic = "Basic " + base64.b64encode(f"anybody:{TOKEN}".encode()).decode()
        assert (await get(port, "/rows", Authorization=basic))[0] == 200


async def test_a_name_that_is_not_ours_is_refused_and_a_number_is_not() -> None:
    """DNS rebinding: a page that a browser got from evil.example asks 127.0.0.1 under that name."""
    async with server(http_hosts="monitor.example, other") as port:
        for host in (
            "evil.example",
            "localhost.evil.example",
            "a@localhost",
            "",
            "127.0.0.1.evil.example:80",
        ):
            assert (await get(port, "/rows", Host=host))[0] == 421, host
        for host in (
            f"127.0.0.1:{port}",
            "[::1]:80",
            "localhost",
            "LOCALHOST:1",
            "monitor.example.",
            "other",
        ):
            assert (await get(port, "/rows", Host=host))[0] == 200, host
        assert (await get(port, "/healthz", Host="evil.example"))[0] == 200


@pytest.mark.parametrize(
    "query",
    [
        "limit=²",
        "limit=-1",
        "limit=0",
        "limit=1001",
        "limit=",
        "limit=1e3",
        "limit=%00",
        "limit=%ff",
        "limit=٣",
        "limit=1&limit=2",
        "limit=99999999999999999999",
        "state=x",
        "state=",
        "unknown=1",
    ],
)
async def test_a_wrong_parameter_is_a_400_that_says_so(query: str) -> None:
    async with server() as port:
        request = (
            f"GET /rows?{quote(query, safe='=&%')} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        )
        async with raw(port, request.encode()) as (reader, _):
            answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 400"), answer[:100]
    assert b"Traceback" not in answer


async def test_a_parameter_may_be_the_longest_name_that_messages_may_give() -> None:
    name = "\U0001f600" * 1024
    async with server() as port:
        status, body, _ = await get(port, f"/named?channel={quote(name)}")
        assert (status, body) == (200, {"channel": name})


async def test_what_was_not_foreseen_is_a_500_without_a_trace_and_others_go_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with server() as port:
        status, body, _ = await get(port, "/broken")
        assert (status, body) == (500, {"error": "this failed; the log says why"})
        assert (await get(port, "/rows?limit=7"))[1] == {"limit": 7}
        assert (await get(port, "/none"))[0] == 404
    assert "ZeroDivisionError" in capsys.readouterr().out


async def test_answers_are_not_kept_by_anybody() -> None:
    async with server() as port:
        headers = (await get(port, "/rows"))[2]
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"


@contextlib.asynccontextmanager
async def raw(port: int, content: bytes) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection on which this was sent, and nothing more."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(content)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def ended(reader: asyncio.StreamReader, timeout_s: float) -> bool:
    """Whether the server closes the connection in time."""
    try:
        async with asyncio.timeout(timeout_s):
            while await reader.read(65_536):
                pass
    except TimeoutError:
        return False
    except ConnectionError:
        pass
    return True


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REQUEST_TIMEOUT_S", 0.3)
    monkeypatch.setattr(module, "IDLE_TIMEOUT_S", 0.6)
    monkeypatch.setattr(module, "_SWEEP_S", 0.05)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"GET /rows HTTP/1.1\r\nHost: localho",
        b"GET /rows HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /rows HTTP/1.1\r\nHost: localhost\r\n\r\nGET /rows HT",
        b"POST /rows HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nslowly",
    ],
)
async def test_a_connection_that_does_not_get_on_is_closed(content: bytes) -> None:
    async with server() as port, raw(port, content) as (reader, _):
        assert await ended(reader, 5.0)


@pytest.mark.usefixtures("impatient")
async def test_one_who_drips_a_header_is_closed_all_the_same() -> None:
    async with server() as port, raw(port, b"GET /rows HTTP/1.1\r\n") as (reader, writer):

        async def drip() -> None:
            with contextlib.suppress(ConnectionError):
                while True:
                    writer.write(b"X: 1\r\n")
                    await writer.drain()
                    await asyncio.sleep(0.05)

        dripping = asyncio.create_task(drip())
        assert await ended(reader, 5.0)
        dripping.cancel()


@pytest.mark.usefixtures("impatient")
async def test_one_who_does_not_read_the_answer_is_closed() -> None:
    async with server() as port:
        sender = socket.create_connection(("127.0.0.1", port))
        sender.sendall(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await asyncio.sleep(1.0)
        sender.setblocking(False)
        loop, received = asyncio.get_running_loop(), 0
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(5):
                while part := await loop.sock_recv(sender, 1 << 20):
                    received += len(part)
        sender.close()
    assert received < 32_000_000


async def test_half_open_requests_are_bounded_in_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_CONNECTIONS", 20)
    monkeypatch.setattr(module, "_SWEEP_S", 0.05)
    async with server() as port, contextlib.AsyncExitStack() as stack:
        half = b"GET /rows HTTP/1.1\r\n"
        opened = [await stack.enter_async_context(raw(port, half)) for _ in range(100)]
        await asyncio.sleep(0.5)
        still = [reader for reader, _ in opened if not await ended(reader, 0.01)]
        assert len(still) <= 20
        assert (await get(port, "/rows"))[0] == 200


@pytest.mark.parametrize(
    "content",
    [
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /rows HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
        b"GET /rows HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello",
        b"nonsense\r\n\r\n",
    ],
)
async def test_a_request_that_is_too_large_or_none_is_refused_and_not_quoted_in_the_log(
    content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure("text", "info")
    async with server() as port, raw(port, content) as (reader, _):
        assert (await reader.readline()).split()[1] == b"400"
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) <= 1
    assert not any(quoted in line for line in lines for quoted in ("aaa", "hello", "nonsense", "Traceback"))
