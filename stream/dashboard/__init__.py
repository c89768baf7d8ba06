"""The page that the monitor serves at ``/``: counters and alerts, from its own ``/api``.

One file with style and script in it and nothing from elsewhere, so that it works without the internet and
tells nobody that it is looked at. It only reads; alerts are reviewed with ``emotion-stream alerts``.
"""

from importlib.resources import files
from typing import Final

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What the page may do: run its own script and ask its own server, nothing else."""


def page() -> bytes:
    """The page as HTML in UTF-8."""
    return (files("stream.dashboard") / "page.html").read_bytes()
