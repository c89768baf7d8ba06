"""Schemas by their id over HTTP, each asked for once.

An outage is no fault of a message: whoever needs a schema waits until the registry answers. An id that the
registry does not know is one; it is asked for again some times, since registries copy schemas among
themselves, and is remembered as unknown for a while only. So is one whose schema it refuses to give while it
is otherwise well.
"""

import asyncio
import base64
import time
from collections.abc import Mapping
from pathlib import Path
from ssl import SSLContext, SSLError, create_default_context
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote

import aiohttp
import orjson
import structlog

from stream.addresses import without_login
from stream.errors import BrokerError, Cause, MessageError, SettingsError, StreamError
from stream.registry.formats import PREFIX_BYTES, reader_of, schema_id
from stream.registry.schemas import Read, Schema, UnusableSchemaError

_log = structlog.get_logger(__name__)

_ACCEPT: Final = "application/vnd.schemaregistry.v1+json, application/json"
_NOT_FOUND_CODES: Final = frozenset({40401, 40402, 40403})
"""Subject, version, schema not found; a 404 without one of them comes from something else than a registry."""
_TOLD: Final = frozenset({200, 404, 409, 422})
"""Statuses whose body says something; 409 is a schema that is not compatible with the one before."""
_REFUSED: Final = frozenset({403, 404, 409, 422})
"""Statuses that a registry may give to one question, and a gateway without a registry to each."""
_LARGEST_ID: Final = 2**31 - 1
"""An id is an Integer of Java: asked for a larger one, a registry answers as if it had no such address."""
_AWAY: Final = frozenset({408, 425, 429})
"""Statuses below 500 that ask for another try."""
_LOGIN: Final = ": see registry_username and registry_password"
_UNKNOWN_TRIES: Final = 3
_UNKNOWN_PAUSE_S: Final = 0.5
_UNKNOWN_FOR_S: Final = 60.0
_MOST_UNKNOWN: Final = 10_000
_PAUSES_S: Final = (0.2, 0.5, 1.0, 2.0, 5.0)
_MOST_REFERENCES: Final = 200


class RegistryUnavailableError(BrokerError):
    """No registry answered, or not as a registry does. Passes, as far as messages are concerned.

    ``lasts``: whoever was asked will say the same until somebody changes something.
    """

    def __init__(self, message: str, *, lasts: bool = False) -> None:
        super().__init__(message)
        self.lasts = lasts


class RegistryRefusedError(StreamError):
    """The registry does not let us write with a schema, and waiting for it is no use."""

    exit_code = BrokerError.exit_code


class _RefusedError(RegistryUnavailableError):
    """The answer was a refusal, which is of this one question where a registry gave it."""


class _UnknownSchemaError(Exception):
    """The registry has no such schema."""


class SchemaRegistry:
    """Reads values by the schemas of a registry; use it as an asynchronous context manager."""

    def __init__(
        self,
        urls: str,
        *,
        username: str | None = None,
        password: str | None = None,
        cafile: Path | None = None,
        timeout_s: float = 10.0,
    ) -> None:
        """``urls`` by commas; the first that answers is asked.

        Raises:
            SettingsError: an address is none, or the certificates cannot be read.
        """
        self._urls = tuple(url.strip().rstrip("/") for url in urls.split(",") if url.strip())
        if not self._urls or not all(url.startswith(("http://", "https://")) for url in self._urls):
            raise SettingsError("registry_url is no address: write http://host:8081, several by commas")
        self.hosts = tuple(map(without_login, self._urls))
        self.failing: str | None = None
        self._headers = {"Accept": _ACCEPT}
        if username:
            login = f"{username}:{password or ''}".encode()
            self._headers["Authorization"] = f"Basic {base64.b64encode(login).decode()}"
        self._ssl = _certificates(cafile)
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._session: aiohttp.ClientSession | None = None
        self._readers: dict[int, Read | MessageError] = {}
        self._unknown_until: dict[int, float] = {}
        self._fetching: dict[int, asyncio.Task[None]] = {}

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(headers=self._headers, timeout=self._timeout)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for task in self._fetching.values():
            task.cancel()
        assert self._session is not None
        await self._session.close()

    def missing(self, value: bytes | None) -> int | None:
        """The id of the schema that must be fetched before this value can be read, if there is one."""
        number = None if value is None else schema_id(value)
        if number is None or number > _LARGEST_ID:
            return None
        if number in self._readers and not self._is_stale(number):
            return None
        return number

    def json_of(self, value: bytes) -> bytes:
        """The value as JSON; one without a schema's prefix as it is.

        Raises:
            MessageError: the registry has no such schema, or the value does not fit it.
        """
        number = schema_id(value)
        if number is None:
            return value
        if number > _LARGEST_ID:
            raise MessageError(Cause.UNKNOWN_SCHEMA, f"no schema can have the id {number}")
        reader = self._readers[number]
        if isinstance(reader, MessageError):
            raise reader
        return reader(value[PREFIX_BYTES:])

    async def read(self, value: bytes) -> bytes:
        """The value as JSON, its schema fetched first where that is needed; raises as ``json_of``."""
        if (number := self.missing(value)) is not None:
            await self.fetch(number)
        return self.json_of(value)

    def ask(self, number: int) -> None:
        """Begin to fetch the schema of this id, and wait for nothing."""
        if number not in self._fetching:
            task = asyncio.create_task(self._fetch(number), name=f"schema-{number}")
            self._fetching[number] = task
            task.add_done_callback(lambda _: self._fetching.pop(number, None))

    async def fetch(self, number: int) -> None:
        """Have the schema of this id at hand, however long the registry is away."""
        self.ask(number)
        await asyncio.shield(self._fetching[number])

    async def check(self) -> None:
        """Ask the registry what it can.

        Raises:
            RegistryUnavailableError: it does not answer as a registry.
        """
        try:
            await self._request("/schemas/types", {}, None)
        except _UnknownSchemaError:
            raise RegistryUnavailableError(
                "no schema registry (registry_url): it answered a question for no schema as if for one",
                lasts=True,
            ) from None

    async def register(self, subject: str, kind: str, schema: str) -> int:
        """The id of a schema under a subject, which is registered unless it is there.

        Raises:
            RegistryUnavailableError: the registry does not answer as one at the moment.
            RegistryRefusedError: it refuses the login, has a certificate that is not believed, takes no
                schemas under new subjects, or is no registry at all.
            SettingsError: it takes no such schema under the subject.
        """
        body = {"schema": schema} if kind == "AVRO" else {"schema": schema, "schemaType": kind}
        try:
            try:
                answer = await self._request(_path_of(subject), {}, body)
            except _UnknownSchemaError:
                answer = await self._request(f"{_path_of(subject)}/versions", {}, body)
        except _UnknownSchemaError:
            raise RegistryRefusedError(
                f"the schema registry takes no schema under the subject {subject} (it answered 404): let it "
                "take new ones, register it yourself, or set output_schema to none"
            ) from None
        except RegistryUnavailableError as error:
            if not error.lasts:
                raise
            raise RegistryRefusedError(str(error)) from error
        number = answer.get("id") if isinstance(answer, dict) else None
        if type(number) is not int or not 0 <= number <= _LARGEST_ID:  # true is an int, too
            raise RegistryRefusedError("no schema registry (registry_url): it answered without a schema's id")
        return number

    def _is_stale(self, number: int) -> bool:
        return self._unknown_until.get(number, float("inf")) < time.monotonic()

    def _forget_unknown(self, most: int) -> None:
        """Forget the oldest unknown ids but ``most``: whoever writes can make up four billion of them."""
        for number in list(self._unknown_until)[: max(0, len(self._unknown_until) - most)]:
            if number not in self._fetching:
                del self._unknown_until[number], self._readers[number]

    async def _fetch(self, number: int) -> None:
        outages = unknown = 0
        while True:
            try:
                reader: Read | MessageError = reader_of(await self._schema(number))
            except _UnknownSchemaError:
                unknown += 1
                if unknown < _UNKNOWN_TRIES:
                    await asyncio.sleep(_UNKNOWN_PAUSE_S)
                    continue
                reader = MessageError(
                    Cause.UNKNOWN_SCHEMA, f"the registry has no schema with the id {number} for this user"
                )
                self._forget_unknown(_MOST_UNKNOWN - 1)
                self._unknown_until[number] = time.monotonic() + _UNKNOWN_FOR_S
            except UnusableSchemaError as error:
                reader = MessageError(Cause.UNKNOWN_SCHEMA, f"schema {number}: {error}")
            except RegistryUnavailableError as error:
                self.failing = str(error)
                _log.warning("the schema registry does not answer", schema=number, reason=str(error))
                await asyncio.sleep(_PAUSES_S[min(outages, len(_PAUSES_S) - 1)])
                outages += 1
                continue
            else:
                self._unknown_until.pop(number, None)
                _log.info("schema read", schema=number)
            self.failing = None
            self._readers[number] = reader
            return

    async def _schema(self, number: int) -> Schema:
        path = f"/schemas/ids/{number}"
        answer = await self._get(path, {})
        kind = str(answer.get("schemaType") or "AVRO")
        if kind == "PROTOBUF":
            answer = await self._get(path, {"format": "serialized"})
        references: dict[str, str] = {}
        await self._add_references(answer, kind, references)
        return Schema(kind, str(answer.get("schema")), references)

    async def _add_references(self, answer: Mapping[str, Any], kind: str, found: dict[str, str]) -> None:
        """Depth first, so that each schema stands after those that it needs."""
        for name, path in _references(answer.get("references") or ()):
            if name in found:
                continue
            if len(found) > _MOST_REFERENCES:
                raise UnusableSchemaError("it refers to too many others")
            referred = await self._get(path, {"format": "serialized"} if kind == "PROTOBUF" else {})
            await self._add_references(referred, kind, found)
            found[name] = str(referred.get("schema"))

    async def _get(self, path: str, query: Mapping[str, str]) -> Mapping[str, Any]:
        """One schema, as the registry tells of it."""
        try:
            answer = await self._request(path, query, None)
        except _RefusedError:
            await self.check()
            raise _UnknownSchemaError from None
        if not isinstance(answer, dict):
            raise RegistryUnavailableError("no schema registry (registry_url): it answered without a schema")
        return answer

    async def _request(self, path: str, query: Mapping[str, str], body: Any) -> Any:
        problems = list[RegistryUnavailableError]()
        for url in self._urls:
            try:
                return await self._ask(f"{url}{path}", query, body)
            except RegistryUnavailableError as error:
                problems.append(error)
        refused = any(isinstance(error, _RefusedError) for error in problems)
        kind = _RefusedError if refused else RegistryUnavailableError
        # Where one of several is away, it may be the one that would have let us.
        lasts = all(error.lasts for error in problems)
        raise kind(f"no schema registry (registry_url): {'; '.join(map(str, problems))}", lasts=lasts)

    async def _ask(self, url: str, query: Mapping[str, str], body: Any) -> Any:
        assert self._session is not None
        method = "GET" if body is None else "POST"
        arguments: Any = {"params": query, "json": body, "ssl": self._ssl, "allow_redirects": False}
        try:
            async with self._session.request(method, url, **arguments) as response:
                status = response.status
                content = _json_of(await response.read()) if status in _TOLD else None
        except aiohttp.ClientConnectorCertificateError:
            raise RegistryUnavailableError(
                f"{without_login(url)}: its certificate is not believed: see registry_cafile", lasts=True
            ) from None
        except (aiohttp.ClientError, TimeoutError, ValueError, OSError) as error:
            lasts = isinstance(error, aiohttp.InvalidURL)
            raise RegistryUnavailableError(
                f"{without_login(url)}: {type(error).__name__}", lasts=lasts
            ) from None
        if status == 200 and isinstance(content, dict | list):
            return content
        if status == 404 and _error_code(content) in _NOT_FOUND_CODES:
            raise _UnknownSchemaError
        if status in (409, 422) and body is not None:
            told = content.get("message") if isinstance(content, dict) else status
            raise SettingsError(
                f"the schema registry refuses the schema of labelled events (output_schema): {told}"
            )
        hint = {200: " with no JSON", 401: _LOGIN, 403: _LOGIN}.get(status, "")
        if 300 <= status < 400:  # not followed: the login is for this address alone
            hint = ", which leads elsewhere: name the registry's own address"
        kind = _RefusedError if status in _REFUSED else RegistryUnavailableError
        lasts = status < 500 and status not in _AWAY
        raise kind(f"{without_login(url)} answered {status}{hint}", lasts=lasts)


def _json_of(content: bytes) -> Any:
    try:
        return orjson.loads(content)
    except ValueError:
        return None


def _error_code(content: Any) -> int | None:
    """The registry's own code for what went wrong, beside the status."""
    code = content.get("error_code") if isinstance(content, dict) else None
    return code if isinstance(code, int) else None


def _references(told: Any) -> list[tuple[str, str]]:
    """Name and path of each schema that another one needs."""
    try:
        return [
            (str(one["name"]), f"{_path_of(str(one['subject']))}/versions/{one['version']}") for one in told
        ]
    except (TypeError, KeyError):
        raise UnusableSchemaError("what it refers to is not told as a registry does") from None


def _path_of(subject: str) -> str:
    """Protobuf's serializer names a subject as its file is imported: with the folder."""
    return f"/subjects/{quote(subject, safe='')}"


def _certificates(cafile: Path | None) -> SSLContext | bool:
    if cafile is None:
        return True
    try:
        return create_default_context(cafile=str(cafile))
    except (OSError, SSLError) as error:
        raise SettingsError(f"registry_cafile {cafile} cannot be read ({error}): name a PEM file") from error
