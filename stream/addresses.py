"""Addresses in settings: what can be none is said where it is written, and not when somebody connects."""

from urllib.parse import urlsplit


def checked_servers(servers: str) -> str:
    """``servers``, by commas, where each can be a host and a port."""
    for server in servers.split(","):
        if server.count(":") > 1 and "[" not in server:
            continue  # an IPv6 address without a port
        if not _can_be_one(f"//{server.strip()}"):
            raise ValueError(f"{server.strip()!r} is no address: write host:port, several by commas")
    return servers


def checked_urls(urls: str) -> str:
    """``urls``, by commas, where each can be one. What is wrong is not shown: it may hold a secret."""
    if all(_can_be_one(url.strip()) for url in urls.split(",")):
        return urls
    raise ValueError("is no URL: write https://HOST/PATH or https://HOST:PORT/PATH")


def _can_be_one(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        host.encode("idna").decode("idna")  # as whoever connects does it
        return parts.port is None or bool(host)
    except ValueError:
        return False
