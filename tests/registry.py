"""A schema registry that speaks Confluent's protocol over HTTP, as far as readers and writers need it.

    POST /subjects/S[/versions]        {"schema", "schemaType", "references"}  ->  {"id"}
    GET  /schemas/ids/N[?format=serialized]     GET /subjects/S/versions/V[?format=serialized]

Schemas of Protobuf are registered as serialized file descriptors in base64, which the protocol allows.
"""

import asyncio
import base64
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from ssl import SSLContext
from typing import Any
from urllib.parse import unquote

from aiohttp import web
from google.protobuf.descriptor_pb2 import FileDescriptorProto

_CONTENT_TYPE = "application/vnd.schemaregistry.v1+json"


class RegistryServer:
    """Keeps schemas. ``incompatible``: it refuses; ``login``: it asks who it is.

    ``away``: the status of each answer, where that is no registry's; ``refused``: that of a schema's, by id.
    ``told``: status and text of the answer to a method and path, instead of what a registry says.
    """

    def __init__(self) -> None:
        self.url = ""
        self.away = 0
        self.incompatible = False
        self.login: tuple[str, str] | None = None
        self.refused: dict[int, int] = {}
        self.told: dict[str, tuple[int, str]] = {}
        self.asked: list[str] = []
        self._schemas: list[dict[str, Any]] = []
        self._subjects: dict[str, list[int]] = {}

    def add(self, subject: str, schema: str, kind: str = "AVRO", references: Any = ()) -> int:
        """Register a schema; the same one again has the same id."""
        entry = {"schema": schema, "schemaType": kind, "references": list(references)}
        if entry not in self._schemas:
            self._schemas.append(entry)
        number = self._schemas.index(entry) + 1
        versions = self._subjects.setdefault(subject, [])
        if number not in versions:
            versions.append(number)
        return number

    async def _handle(self, request: web.Request) -> web.Response:
        self.asked.append(request.path_qs)
        if self.away:
            return web.Response(status=self.away, text="<html>gateway</html>", content_type="text/html")
        if told := self.told.get(f"{request.method} {request.path}"):
            return web.Response(status=told[0], text=told[1], headers={"Location": "/elsewhere"})
        return await self._routed(request)

    async def _routed(self, request: web.Request) -> web.Response:
        if self.login and request.headers.get("Authorization") != _basic(*self.login):
            return _answer({"error_code": 401, "message": "Unauthorized"}, 401)
        match [unquote(part) for part in request.rel_url.raw_path.strip("/").split("/")]:
            case ["schemas", "types"]:
                return _answer(["JSON", "PROTOBUF", "AVRO"])
            case ["schemas", "ids", number] if status := self.refused.get(int(number)):
                return _answer({"error_code": status, "message": "refused"}, status)
            case ["schemas", "ids", number] if int(number) < 2**31:  # else no address, as Jersey sees it
                return self._schema(int(number), request, {})
            case ["subjects", subject] if request.method == "POST":
                body = await request.json()
                entry = {
                    "schema": body["schema"],
                    "schemaType": body.get("schemaType", "AVRO"),
                    "references": [],
                }
                known = [
                    number for number in self._subjects.get(subject, []) if self._schemas[number - 1] == entry
                ]
                if not known:
                    return _answer({"error_code": 40403, "message": "Schema not found"}, 404)
                return _answer({"subject": subject, "id": known[0], "schema": body["schema"]})
            case ["subjects", _, "versions"] if request.method == "POST" and self.incompatible:
                return _answer({"error_code": 409, "message": "Schema being registered is incompatible"}, 409)
            case ["subjects", subject, "versions"] if request.method == "POST":
                body = await request.json()
                number = self.add(
                    subject, body["schema"], body.get("schemaType", "AVRO"), body.get("references", ())
                )
                return _answer({"id": number})
            case ["subjects", subject, "versions", version]:
                numbers = self._subjects.get(subject, [])
                if not numbers:
                    return _answer({"error_code": 40401, "message": "Subject not found"}, 404)
                place = len(numbers) if version == "latest" else int(version)
                return self._schema(numbers[place - 1], request, {"subject": subject, "version": place})
        return _answer({"error_code": 404, "message": "HTTP 404 Not Found"}, 404)

    def _schema(self, number: int, request: web.Request, more: Mapping[str, Any]) -> web.Response:
        if not 0 < number <= len(self._schemas):
            return _answer({"error_code": 40403, "message": f"Schema {number} not found"}, 404)
        entry = {name: content for name, content in self._schemas[number - 1].items() if content}
        if entry["schemaType"] == "AVRO":
            del entry["schemaType"]  # as the real one does
        elif entry["schemaType"] == "PROTOBUF" and request.query.get("format") != "serialized":
            described = FileDescriptorProto.FromString(base64.b64decode(entry["schema"]))
            entry["schema"] = f'syntax = "{described.syntax}"; // shown as text to whoever asks for text'
        return _answer({**entry, **more, "id": number} if more else entry)


def _answer(content: Any, status: int = 200) -> web.Response:
    return web.json_response(content, status=status, content_type=_CONTENT_TYPE)


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@asynccontextmanager
async def registry_server(tls: SSLContext | None = None) -> AsyncIterator[RegistryServer]:
    """A registry that runs until the block is left; with ``tls``, over HTTPS."""
    server = RegistryServer()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server._handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        server.url = "{}://{}:{}".format("https" if tls else "http", *runner.addresses[0][:2])
        yield server
    finally:
        await runner.cleanup()
        await asyncio.sleep(0)
