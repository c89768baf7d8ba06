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
    given = [url.strip() for url in urls.split(",") if url.strip()]
    if all("://" in url and _can_be_one(url) for url in given):
        return urls
    raise ValueError("is no URL: write https://HOST/PATH or https://HOST:PORT/PATH")


def without_login(url: str) -> str:
    """What may be shown of a URL: scheme, host and port. A password may hold characters it should not."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2].partition('/')[0]}"


def _can_be_one(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        host.encode("idna").decode("idna")  # as whoever connects does it
        return parts.port is None or bool(host)
    except ValueError:
        return False
