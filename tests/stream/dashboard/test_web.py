"""The dashboard over real sockets: who gets in, what a browser is told, what goes into the audit log."""

import asyncio
import io
import json
import os
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest
from aiohttp import ClientSession, CookieJar, TCPConnector, web
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import RecordsToDelete
from yarl import URL

from model.contract import ModelInfo
from model.fake import FakeClassifier
from stream import serving
from stream.admin import connected, create_topics
from stream.dashboard import app
from stream.dashboard.app import Running, running
from stream.dashboard.guard import COOKIE, FAILURES, HEADERS
from stream.dashboard.labeller import Labeller
from stream.dashboard.web import assets
from stream.errors import SettingsError
from stream.events import ALL_CHANNELS
from stream.settings import Settings
from tests.brokers import ApacheKafka, Broker
from tests.conftest import MakeSettings, Topics
from tests.records import read_committed_until
from tests.stream.annotate.test_annotator import annotate_all
from tests.stream.dashboard.scene import (
    AUTHOR,
    alert,
    counter,
    event,
    leave_waiting,
    of_alert,
    of_event,
    review,
    whole,
    write,
)
from tests.stream.monitor.receivers import on_loopback

TOKEN = "7f0c5a1e9b3d48d2a6c4e81f5b907d3a62e4c1b8f9d0a7e3"
NOWHERE: dict[str, Any] = {"bootstrap_servers": "127.0.0.1:1", "dashboard_port": 0, "model": "fake"}


class EnglishAlone(FakeClassifier):
    """As if its weights had been measured in English."""

    @property
    def info(self) -> ModelInfo:
        return replace(super().info, languages=("en",))


@asynccontextmanager
async def browser_of(settings: Settings) -> AsyncIterator[tuple[Running, ClientSession]]:
    """A dashboard, and a client that keeps its cookies as a browser does."""
    async with (
        running(settings) as started,
        ClientSession(started.address, cookie_jar=CookieJar(unsafe=True)) as client,
    ):
        yield started, client


async def opened(client: ClientSession) -> dict[str, str]:
    """Open the page; the headers that its requests carry."""
    async with client.get("/") as page:
        assert page.status == 200
    async with client.get("/api/session") as session:
        return {"X-CSRF-Token": (await session.json())["csrf"]}


async def part(
    client: ClientSession, wanted: str, holds: Callable[[Any], bool] = lambda _: True, **query: Any
) -> Any:
    """The first value of a part that holds what is asked."""
    name, value = "", None
    with suppress(TimeoutError):
        async with asyncio.timeout(40), client.get("/api/stream", params=query) as stream:
            assert stream.headers["Content-Type"] == "text/event-stream"
            async for line in stream.content:
                if line.startswith(b"event: "):
                    name = line[7:].strip().decode()
                elif line.startswith(b"data: ") and name == wanted and holds(value := orjson.loads(line[6:])):
                    return value
    raise AssertionError(f"{wanted} did not come, but last: {value}")


async def test_everything_is_told_to_stay_where_it_came_from() -> None:
    async with browser_of(Settings(**NOWHERE)) as (_, client):
        for path in ("/", "/static/app.js", "/api/stream", "/api/session", "/nothing"):
            async with client.get(path) as answer:
                assert HEADERS.items() <= dict(answer.headers).items(), path
    assert "unsafe" not in HEADERS["Content-Security-Policy"]


def test_the_page_loads_nothing_from_elsewhere_and_makes_no_markup_of_what_it_is_given() -> None:
    own = {name: one.body.decode() for name, one in assets().items() if not name.startswith("vendor/")}
    for name, text in own.items():
        assert set(re.findall(r"https?://[^\"' )]+", text)) <= {"http://www.w3.org/2000/svg"}, name
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", text), name
        assert not re.search(r" style=|<script(?! src)| on\w+=\"", text), name


async def test_a_request_under_another_hosts_name_is_refused() -> None:
    async with browser_of(Settings(**NOWHERE)) as (_, client):
        async with client.get("/", headers={"Host": "evil.example:80"}) as answer:
            assert answer.status == 421
        async with client.get("/", headers={"Host": "localhost"}) as answer:
            assert answer.status == 200


async def test_dashboards_side_by_side_under_one_name_keep_their_sessions() -> None:
    """Browsers send a cookie to every port of a host."""
    async with browser_of(Settings(**NOWHERE)) as (_, client), running(Settings(**NOWHERE)) as other:
        await opened(client)
        async with client.get(f"{other.address}/") as answer:
            assert answer.status == 200
        for address in ("", other.address):
            async with client.get(f"{address}/api/session") as answer:
                assert answer.status == 200


async def test_without_a_session_nothing_but_the_page_is_answered() -> None:
    async with browser_of(Settings(**NOWHERE)) as (_, client):
        for path in ("/api/stream", "/api/session", "/api/alert?id=x", "/api/channels"):
            async with client.get(path) as answer:
                assert answer.status == 401, path
        async with client.get("/") as answer:
            [cookie] = answer.cookies.values()
        assert (cookie["httponly"], cookie["samesite"], cookie["secure"]) == (True, "Strict", "")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-CSRF-Token": "wrong"},
        {"Origin": "http://evil.example"},
        {"Origin": "http://[evil"},
        {"Origin": "null"},
        {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Content-Type": "text/plain"},
    ],
)
async def test_another_site_cannot_write(headers: dict[str, str]) -> None:
    async with browser_of(Settings(**NOWHERE)) as (_, client):
        ours = await opened(client)
        sent = (
            (ours if headers and "X-CSRF-Token" not in headers else {})
            | {"Content-Type": "application/json"}
            | headers
        )
        async with client.post("/api/classify", data=b'{"text": "joy"}', headers=sent) as answer:
            assert answer.status in (403, 415)
        async with client.post("/api/classify", json={"text": "joy"}, headers=ours) as answer:
            assert answer.status == 200


async def test_a_user_without_a_name_reviews_under_their_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that is run as some number."""
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000_000)
    async with browser_of(Settings(**NOWHERE)) as (_, client):
        await opened(client)
        async with client.get("/api/session") as answer:
            assert (await answer.json())["reviewer"] == "uid 4000000000"


async def test_with_a_token_people_log_in_under_their_name() -> None:
    settings = Settings(**NOWHERE, dashboard_token=TOKEN, dashboard_hosts="board.example")
    async with browser_of(settings) as (_, client):
        async with client.get("/", allow_redirects=False) as answer:
            assert answer.headers["Location"] == "login"
        async with client.post("/login", data={"token": "wrong", "name": "Kim"}) as answer:
            assert str(answer.url).endswith("/login?failed")
        async with client.post("/login", data={"token": TOKEN, "name": " "}) as answer:
            assert str(answer.url).endswith("/login?failed")
        async with client.post("/login", data={"token": TOKEN, "name": " Kim  Lee"}) as answer:
            assert str(answer.url.path) == "/"
        async with client.get("/api/session") as answer:
            session = await answer.json()
        assert session["reviewer"] == "Kim Lee"
        async with client.post("/logout", headers={"X-CSRF-Token": session["csrf"]}, json={}):
            pass
        async with client.get("/api/session") as answer:
            assert answer.status == 401


@asynccontextmanager
async def in_a_folder(address: str) -> AsyncIterator[str]:
    """A proxy that has the dashboard in a folder of its host, beside what else may be there."""

    async def passed_on(request: web.Request) -> web.StreamResponse:
        url = f"{address}/{request.match_info['path']}?{request.query_string}"
        asked = {"headers": request.headers, "data": await request.read(), "allow_redirects": False}
        async with (
            ClientSession(auto_decompress=False) as client,
            client.request(request.method, url, **asked) as answer,
        ):
            response = web.StreamResponse(status=answer.status, headers=answer.headers)
            await response.prepare(request)
            async for chunk in answer.content.iter_any():
                await response.write(chunk)
            return response

    proxy = web.Application()
    proxy.router.add_route("*", "/emotion/{path:.*}", passed_on)
    async with on_loopback(proxy) as url:
        yield f"{url}/emotion/"


async def test_behind_a_proxy_it_keeps_to_its_folder_with_token_and_session() -> None:
    """Else people would send their token to whatever has the host's root."""
    settings = Settings(**NOWHERE, dashboard_token=TOKEN)
    async with (
        running(settings) as started,
        in_a_folder(started.address) as folder,
        ClientSession(cookie_jar=CookieJar(unsafe=True)) as client,
    ):
        async with client.get(folder) as login:
            assert login.url.path == "/emotion/login"
            (action,) = re.findall('action="([^"]+)"', await login.text())
            form = {"token": TOKEN, "name": "Kim"}
            asking = client.post(login.url.join(URL(action)), data=form)
        async with asking as page:
            assert (page.status, page.url) == (200, URL(folder))
            named = re.findall('(?:href|src)="([^"#]+)"', await page.text())
        for name in named:
            async with client.get(URL(folder).join(URL(name))) as file:
                assert file.status == 200, name
        async with client.get(f"{folder}api/session") as session:
            assert (await session.json())["reviewer"] == "Kim"
        assert not client.cookie_jar.filter_cookies(URL(folder).origin())


def test_the_page_asks_for_nothing_from_the_root_of_its_host() -> None:
    for name, one in assets().items():
        if not name.startswith("vendor/"):
            assert not re.findall(r"""["'`]/[^/*>]""", one.body.decode()), name


async def test_under_another_name_than_loopback_the_cookie_is_secure() -> None:
    settings = Settings(**NOWHERE, dashboard_token=TOKEN, dashboard_hosts="board.example")
    async with browser_of(settings) as (_, client):
        form, host = {"token": TOKEN, "name": "Kim"}, {"Host": "board.example"}
        async with client.post("/login", data=form, headers=host, allow_redirects=False) as answer:
            assert answer.cookies[COOKIE]["secure"] is True


async def test_guessing_tokens_is_stopped_and_keeps_nobody_out() -> None:
    """Nor who knows the token and comes from the same address, as all do behind a proxy."""
    async with browser_of(Settings(**NOWHERE, dashboard_token=TOKEN)) as (started, client):
        for _ in range(FAILURES):
            async with client.post("/login", data={"token": "wrong", "name": "x"}):
                pass
        wrong, right = {"token": "wrong", "name": "x"}, {"token": TOKEN, "name": "x"}
        async with client.post("/login", data=wrong) as answer:
            assert answer.status == 429
        async with client.post("/login", data=right, allow_redirects=False) as answer:
            assert answer.headers["Location"] == "./"
        elsewhere = TCPConnector(local_addr=("127.0.0.2", 0))
        async with (
            ClientSession(started.address, connector=elsewhere) as other,
            other.post("/login", data=wrong, allow_redirects=False) as answer,
        ):
            assert answer.headers["Location"] == "login?failed"


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"Content-Type": "application/x-www-form-urlencoded; charset=none"}, b"token=a&name=b", 303),
        ({"Content-Type": "application/x-www-form-urlencoded"}, b"token=%ED%A0%80&name=\xff", 303),
        ({"Content-Type": "application/x-www-form-urlencoded", "Content-Encoding": "gzip"}, b"token=a", 400),
        ({"Content-Type": "multipart/form-data; boundary=b"}, b"--b\r\n", 415),
        ({"Content-Type": "multipart/form-data"}, b"token", 415),
    ],
)
async def test_a_login_that_is_no_form_of_ours_is_refused_without_a_trace(
    headers: dict[str, str], body: bytes, status: int
) -> None:
    """Whoever reaches the page may send one."""
    async with browser_of(Settings(**NOWHERE, dashboard_token=TOKEN)) as (_, client):
        given: dict[str, Any] = {"headers": headers, "data": io.BytesIO(body), "allow_redirects": False}
        async with client.post("/login", **given) as answer:
            assert answer.status == status


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"dashboard_host": "0.0.0.0"}, "dashboard_hosts"),
        ({"dashboard_host": "0.0.0.0", "dashboard_hosts": "board.example"}, "EMOTION_DASHBOARD_TOKEN"),
        ({"dashboard_host": "192.0.2.1"}, "EMOTION_DASHBOARD_TOKEN"),
        ({"dashboard_hosts": "board.example"}, "EMOTION_DASHBOARD_TOKEN"),
        ({"bootstrap_servers": None}, "bootstrap"),
    ],
)
async def test_it_does_not_start_open_to_everybody(given: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        async with running(Settings(**NOWHERE | given)):
            pass


async def test_the_box_says_which_language_it_takes_a_sentence_for_and_whether_it_was_measured() -> None:
    labeller = Labeller(Settings(**NOWHERE))
    labeller._model = EnglishAlone()
    for text, language, measured in (
        ("I am so happy that all of you came to see us today", "en", True),
        ("Ich freue mich sehr, dass ihr uns heute alle besucht habt", "de", False),
        ("ok", None, True),
    ):
        found = await labeller.label(text)
        assert (found["language"], found["measured"]) == (language, measured)
    labeller.close()


async def test_a_sentence_is_labelled_with_its_words() -> None:
    async with browser_of(Settings(**NOWHERE)) as (_, client):
        headers = await opened(client)
        async with client.post("/api/classify", json={"text": "much anger here"}, headers=headers) as answer:
            found = await answer.json()
        assert found["label"] == "anger"
        assert "".join(text for text, _ in found["parts"]) == "much anger here"
        assert max(found["parts"], key=lambda part: part[1])[0].strip() == "anger"


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b'{"text": 1}', b'{"text": " "}', b'{"text": "%s"}' % (b"x" * 3000)]
)
async def test_what_cannot_be_labelled_is_refused_with_a_reason(body: bytes) -> None:
    async with browser_of(Settings(**NOWHERE)) as (_, client):
        headers = await opened(client) | {"Content-Type": "application/json"}
        async with client.post("/api/classify", data=body, headers=headers) as answer:
            assert answer.status == 400
            assert await answer.text()


async def test_a_channel_may_have_the_longest_name_that_messages_may_give_it() -> None:
    async with browser_of(Settings(**NOWHERE)) as (_, client):
        await opened(client)
        mix = await part(client, "mix", channel="\U0001f600" * 1024)
        assert mix["channel"] == "\U0001f600" * 1024


async def test_connections_that_ask_nothing_keep_nobody_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "CONNECTIONS", 20)
    monkeypatch.setattr(serving, "REQUEST_TIMEOUT_S", 0.5)
    async with browser_of(Settings(**NOWHERE)) as (started, client):
        await opened(client)
        async with asyncio.timeout(20), client.get("/api/stream") as stream:
            await stream.content.readline()
            address = urlsplit(started.address)
            idle = [await asyncio.open_connection(address.hostname, address.port) for _ in range(40)]
            async with client.get("/api/session") as answer:
                assert answer.status == 200
            assert {await reader.read() for reader, _ in idle} == {b""}
            for _ in range(3):  # the stream of events goes on
                assert await stream.content.readline()
            for _, writer in idle:
                writer.close()


async def test_a_broker_that_is_not_there_is_said() -> None:
    async with browser_of(Settings(**NOWHERE)) as (_, client):
        await opened(client)
        health = await part(client, "health", lambda found: found["state"] == "down")
        assert "127.0.0.1:1" in health["problem"]


async def test_what_the_topics_hold_is_shown_and_a_review_goes_into_the_log(topics: Topics) -> None:
    settings = await topics(dashboard_port=0, partitions=2)
    now = datetime.now(UTC)
    await write(settings, whole(settings, now))
    await leave_waiting(settings, 12)
    async with browser_of(settings) as (_, client):
        headers = await opened(client)
        assert await part(client, "health", lambda found: found["waiting"] == 12)
        health = await part(client, "health", lambda found: found["state"] not in ("loading", "down"))
        assert (health["models"][0]["name"], health["refused"]) == ("emotion-distilbert", 0)
        mix = await part(client, "mix", channel="billing", window_s=300)
        assert (mix["window_s"], mix["lengths"], len(mix["windows"])) == (300, [60, 300, 3600], 60)
        queue = await part(client, "queue")
        first = queue["groups"][0]["items"][0]
        assert (first["severity"], first["author"]) == ("critical", AUTHOR)
        async with client.get("/api/alert", params={"id": first["id"]}) as answer:
            shown = await answer.json()
        assert len(shown["picture"]["points"]) == 21
        assert len(shown["texts"]) == 5

        ours, surges = [first["id"], 0], [f"anger-surge:{name}:1" for name in ("billing", "support")]
        body = {"alerts": [ours], "verdict": "confirmed", "note": "called back", "reviewer": "somebody else"}
        async with client.post("/api/review", json=body, headers=headers) as answer:
            assert answer.status == 201
        together = {"alerts": [[name, 0] for name in surges], "verdict": "dismissed", "note": "an outage"}
        async with client.post("/api/review", json=together, headers=headers) as answer:
            assert (answer.status, len(await answer.json())) == (201, 2)
        for alerts in (together["alerts"], [[surges[0], 1], ours]):
            async with client.post("/api/review", json=body | {"alerts": alerts}, headers=headers) as answer:
                assert (answer.status, "meanwhile" in await answer.text()) == (409, True)
        async with client.get("/api/session") as answer:
            reviewer = (await answer.json())["reviewer"]
        log = await part(client, "log", lambda found: len(found["reviews"]) == 27)
        newest = [(one["alert_id"], one["reviewer"], one["note"]) for one in log["reviews"][:3]]
        assert newest == [
            *((name, reviewer, "an outage") for name in reversed(surges)),
            (first["id"], reviewer, "called back"),
        ]
        for alerts, status in (
            ([["none", 0]], 404),
            ([["drift:1", 3]], 409),
            ([], 400),
            ([["none"]], 400),
            ([["none", "0"]], 400),
            ("none", 400),
            ([ours] * 101, 400),
        ):
            async with client.post("/api/review", json=body | {"alerts": alerts}, headers=headers) as answer:
                assert answer.status == status
        async with client.post("/api/review", json=body | {"verdict": "agreed"}, headers=headers) as answer:
            assert answer.status == 400
    servers = settings.bootstrap_servers or ""
    written = [
        orjson.loads(one.value or b"")
        for one in await read_committed_until(servers, settings.topics.reviews, 27)
    ]
    kept = {one["alert_id"]: one for one in written if one["reviewer"] == reviewer}
    assert {name: one["verdict"] for name, one in kept.items()} == {
        first["id"]: "confirmed",
        **dict.fromkeys(surges, "dismissed"),
    }
    assert kept[first["id"]]["rule"] == first["rule"]


async def test_a_dashboard_that_starts_before_its_topics_says_so_and_goes_on_once_they_are_there(
    make_settings: MakeSettings,
) -> None:
    settings = make_settings(dashboard_port=0, partitions=1)
    async with browser_of(settings) as (_, client):
        await opened(client)
        health = await part(client, "health", lambda found: found["state"] == "missing")
        assert "emotion-stream topics create" in health["problem"]
        await create_topics(settings)
        await part(client, "health", lambda found: found["state"] == "quiet")


async def test_what_waits_is_told_before_annotators_first_run(topics: Topics) -> None:
    settings = await topics(dashboard_port=0, partitions=1)
    await write(settings, [(settings.input_topic, b"key", b"{}")] * 12)
    later = settings.model_copy(update={"auto_offset_reset": "latest"})
    for given, waiting in ((settings, 12), (later, 0)):
        async with browser_of(given) as (_, client):
            await opened(client)
            await part(client, "health", lambda found, known=waiting: found["waiting"] == known)


async def test_what_is_labelled_waits_no_longer_where_producers_write_in_transactions(topics: Topics) -> None:
    settings = await topics(dashboard_port=0, partitions=1)
    servers = settings.bootstrap_servers
    producer = AIOKafkaProducer(bootstrap_servers=servers, transactional_id=f"{settings.group_id}-in")
    async with producer, producer.transaction():
        await producer.send_and_wait(settings.input_topic, b'{"text": "joy"}')
    async with browser_of(settings) as (_, client):
        await opened(client)
        await part(client, "health", lambda found: bool(found["waiting"]))
        await annotate_all(settings)
        await part(client, "health", lambda found: found["waiting"] == 0)


async def test_what_retention_has_removed_waits_no_longer(topics: Topics, broker: Broker) -> None:
    if not isinstance(broker, ApacheKafka):
        pytest.skip("the embedded broker deletes no records: set KAFKA_HOME")
    settings = await topics(dashboard_port=0, partitions=1)
    await leave_waiting(settings, 12)
    async with connected(settings) as admin:
        await admin.delete_records({TopicPartition(settings.input_topic, 0): RecordsToDelete(11)})
    async with browser_of(settings) as (_, client):
        await opened(client)
        await part(client, "health", lambda found: found["waiting"] == 1)


async def test_no_record_stops_the_page_nor_is_one_shown_that_was_taken_back(topics: Topics) -> None:
    """Bytes, other JSON, numbers and times out of range, fields of later versions."""
    settings = await topics(dashboard_port=0, partitions=1)
    names, now = settings.topics, datetime.now(UTC)
    figures = {"measure": "deviations from the expected count", "enter": 1e308, "baseline": 0.5}
    steep = alert(evidence=figures).evidence.model_dump()
    odd = [b"", b"\xff\x00", b"null", b"[]", b'"text"', b"{}", b"1e999", b'{"id": {}}', b"[" * 10_000]
    good = {
        names.emotions: event(1, now, "joy", schema_version=9, new={"field": []}),
        names.counters: counter(ALL_CHANNELS, now, 60, {"joy": 3, "awe": 1}).model_dump() | {"new": 1},
        names.alerts: alert(id="good").model_dump() | {"new": 1},
        names.reviews: review(alert(id="good"), "acknowledged").model_dump() | {"new": 1},
    }
    odder = [
        (names.emotions, good[names.emotions] | {"confidence": 1e308, "labelled_at": "9999-12-31T23:59:59Z"}),
        (names.emotions, good[names.emotions] | {"label": "a" * 90_000, "labels": {"a": 1}, "ts": 5}),
        (names.counters, good[names.counters] | {"start": "9999-12-31T23:59:00Z", "window_s": 10**9}),
        (names.counters, good[names.counters] | {"start": "0001-01-01T00:00:00Z", "labels": {"joy": 10**30}}),
        (names.counters, good[names.counters] | {"window_s": 10**30}),
        (names.counters, good[names.counters] | {"labels": {f"l{n}": 2**53 - 1 for n in range(2100)}}),
        (names.alerts, good[names.alerts] | {"id": "later", "severity": "page"}),
        (names.alerts, good[names.alerts] | {"id": "huge", "revision": 10**30}),
        (names.alerts, good[names.alerts] | {"id": "steep", "author": None, "evidence": steep}),
        (names.alerts, good[names.alerts] | {"id": "end", "starts_at": "9999-12-31T23:59:59Z"}),
        (names.reviews, good[names.reviews] | {"id": "r", "alert_id": "none", "at": "0001-01-01T00:00:00Z"}),
    ]
    records = [(name, b"key", value) for name in good for value in odd]
    texts = [(name, json.dumps(value, default=str)) for name, value in (*odder, *good.items())]
    records += [(name, b"key", value.encode()) for name, value in texts]
    await write(settings, records)
    await _abort(settings, of_event(settings, event(2, now, "anger")))
    async with browser_of(settings) as (_, client):
        await opened(client)
        queue = await part(client, "queue", lambda found: bool(found["groups"]))
        standings = {one["id"]: one["standing"] for group in queue["groups"] for one in group["items"]}
        assert standings["good"] == "acknowledged"
        for known in ("good", "steep"):
            async with client.get("/api/alert", params={"id": known}) as answer:
                assert answer.status == 200, known
        health = await part(client, "health", lambda found: found["state"] == "live")
        assert health["refused"] >= len(odd) * 3
        mix = await part(client, "mix", lambda found: bool(found["windows"]), window_s=60)
        assert mix["windows"][-1][1 + mix["labels"].index("joy")] == 3
        newest, *before = await part(client, "recent")
        assert newest["label"] == "joy"
        assert "anger" not in {one["label"] for one in before}


async def _abort(settings: Settings, record: tuple[str, bytes, bytes]) -> None:
    """Write a record in a transaction that comes to nothing, as an annotator's may."""
    servers, (topic, key, value) = settings.bootstrap_servers, record
    async with AIOKafkaProducer(bootstrap_servers=servers, transactional_id=settings.group_id) as producer:
        await producer.begin_transaction()
        await producer.send_and_wait(topic, value, key=key)
        await producer.abort_transaction()


async def test_an_alert_may_be_judged_after_its_end_but_not_once_it_is_taken_back(topics: Topics) -> None:
    settings = await topics(dashboard_port=0, partitions=1)
    await write(settings, [of_alert(settings, alert())])
    async with browser_of(settings) as (_, client):
        headers = await opened(client)
        await part(client, "queue", lambda found: bool(found["groups"]))
        await write(settings, [of_alert(settings, alert(revision=2, status="resolved"))])
        ended = await part(client, "queue", lambda found: found["waiting"] == 0)
        assert ended["groups"][0]["items"][0]["standing"] == "resolved"
        body = {"alerts": [[alert().id, 0]], "verdict": "confirmed"}
        async with client.post("/api/review", json=body, headers=headers) as answer:
            assert answer.status == 201
        judged = await part(client, "queue", lambda found: bool(found["closed"]))
        assert (judged["closed"][0]["standing"], judged["groups"]) == ("confirmed", [])
        await write(settings, [(settings.topics.alerts, alert().id.encode(), None)])
        await part(client, "queue", lambda found: not found["closed"])
        async with client.post("/api/review", json=body, headers=headers) as answer:
            assert answer.status == 404


async def test_what_outlived_its_retention_goes_from_a_page_that_is_open(
    topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "PRUNE_S", 0.05)
    settings = await topics(dashboard_port=0, partitions=1, retention_days=1e-4)
    ended = alert(status="resolved", ends_at=datetime.now(UTC))
    said = event(1, datetime.now(UTC), "fear", author=AUTHOR, text="said once")
    await write(settings, [of_alert(settings, ended), of_event(settings, said)])
    async with browser_of(settings) as (started, client):
        await opened(client)
        await part(client, "queue", lambda found: not found["groups"] and started.feed.queue.version > 1)
        await part(client, "recent", lambda found: not found and started.feed.flow.version > 1)
