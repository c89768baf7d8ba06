"""Where alerts may be sent to: an https address on the internet, this machine, or what a setting allows.

A receiver's address is configuration, and configuration can be wrong: a name that leads into the own network
would make the monitor post people's evidence to whatever answers there. The address is looked at when the
connection is made, so a name cannot change what it means in between.
"""

import socket
from errno import EACCES
from ipaddress import ip_address

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from stream.errors import SettingsError
from stream.settings import Settings

LOCALHOST = "localhost"


class PrivateAddressError(OSError):
    """A receiver's name leads to an address that is not allowed."""


def alertmanagers(settings: Settings) -> list[str]:
    """The addresses in ``alertmanager_url``."""
    return [url.strip().rstrip("/") for url in (settings.alertmanager_url or "").split(",") if url.strip()]


def check_receivers(settings: Settings) -> None:
    """Refuse receivers that alerts cannot, or must not, be sent to.

    Raises:
        SettingsError: as ``check_target``, or alerts to the webhook could not be signed.
    """
    if settings.webhook_url is not None:
        check_target(settings.webhook_url, settings)
        if settings.webhook_secret is None:
            raise SettingsError("a webhook needs a signature: set EMOTION_WEBHOOK_SECRET beside webhook_url")
    for url in alertmanagers(settings):
        check_target(url, settings)


def check_target(url: str, settings: Settings) -> None:
    """Refuse an address that must not be sent to, as far as its spelling tells.

    Raises:
        SettingsError: it is no http or https address, or not one that is allowed.
    """
    target = URL(url)
    host = target.host or ""
    shown = f"{target.scheme}://{host}"
    if target.scheme not in ("http", "https") or not host:
        raise SettingsError(f"{shown} is no address to send alerts to: write https://HOST/PATH")
    if target.scheme == "http" and not _is_loopback(host) and not settings.allow_http_receivers:
        raise SettingsError(
            f"{shown}: alerts would travel in the clear: use https, or set allow_http_receivers where the "
            "network is trusted"
        )
    if _is_address(host) and not _allowed(host, settings.allow_private_receivers):
        raise SettingsError(f"{shown} is in a private network: set allow_private_receivers if it is meant")


def session(settings: Settings, timeout_s: float) -> aiohttp.ClientSession:
    """A client that connects to allowed addresses only."""
    connector = aiohttp.TCPConnector(resolver=_Resolver(settings.allow_private_receivers))
    return aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=timeout_s))


class _Resolver(AbstractResolver):
    """The system's resolver, without addresses that are not allowed."""

    def __init__(self, allow_private: bool) -> None:
        self._inner = aiohttp.ThreadedResolver()
        self._allow_private = allow_private

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        allowed = [one for one in found if _allowed(one["host"], self._allow_private)]
        if not allowed:
            raise PrivateAddressError(
                EACCES, f"{host} leads into a private network: set allow_private_receivers"
            )
        return allowed

    async def close(self) -> None:
        await self._inner.close()


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    return host == LOCALHOST or (_is_address(host) and ip_address(host).is_loopback)


def _allowed(address: str, allow_private: bool) -> bool:
    found = ip_address(address.partition("%")[0])
    return allow_private or found.is_global or found.is_loopback
