"""A TCP proxy between programs and a broker: it cuts, resets and stalls what runs through it."""

import asyncio
import contextlib
import socket
import struct
from typing import Final

from tests.brokers import free_port

_CHUNK_BYTES: Final = 65_536
_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER on, for no time: closing then sends RST and drops what was not sent."""


class Proxy:
    """Passes bytes both ways between its own ``port`` and ``target_port`` of this machine."""

    def __init__(self, target_port: int) -> None:
        self.port = free_port()
        self._target_port = target_port
        self._flows = asyncio.Event()
        self._flows.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)

    async def stop(self) -> None:
        self.flow()
        if self._server is not None:
            self._server.close()
        self.cut()

    def stall(self) -> None:
        """Connections stay and are accepted, and no byte passes."""
        self._flows.clear()

    def flow(self) -> None:
        self._flows.set()

    def cut(self) -> None:
        """Close every connection, in order (FIN)."""
        for writer in list(self._writers):
            writer.close()

    def reset(self) -> None:
        """Tear every connection (RST)."""
        for writer in list(self._writers):
            with contextlib.suppress(OSError):  # its other end has gone just now, and so has it
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, to_there = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:  # the broker is down: as it would, take no connection
            writer.close()
            return
        ends = {writer, to_there}
        self._writers |= ends
        try:
            await asyncio.gather(self._pass(reader, to_there), self._pass(there, writer))
        finally:
            self._writers -= ends

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK_BYTES):
                await self._flows.wait()
                writer.write(data)
                await writer.drain()
        writer.close()
