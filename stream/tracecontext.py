"""The trace that a message belongs to: which of its headers may go on into an output or a span. Pure.

Whoever produces a message can write anything under the name ``traceparent``, so only what W3C Trace Context
(Recommendation of 23 November 2021) allows is carried on: section 3.2 for the parent, 3.3 for the state.
"""

import re
from collections.abc import Iterable
from typing import Final

from stream.records import Headers

_PARENT: Final = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_KEY: Final = rb"(?:[a-z][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13})"
_VALUE: Final = rb"[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
_MEMBER: Final = re.compile(_KEY + b"=" + _VALUE)
_MAX_MEMBERS: Final = 32
_MAX_STATE_BYTES: Final = 512
"""What a vendor must be able to pass on; more may be cut by anybody (section 3.3.1.5)."""


def trace_headers(headers: Headers, *, never: Iterable[bytes] = ()) -> list[tuple[str, bytes]]:
    """``traceparent`` and ``tracestate`` of a message, as far as they are valid.

    The parent must be there once. A later version's parent counts only in the length of version 00, since
    what follows there is anything. A state without a valid parent is nobody's, and one that holds a text of
    ``never`` (a name) does not go on: its values are free text.
    """
    if not headers:
        return []
    parents = [content for name, content in headers if name == "traceparent"]
    if len(parents) != 1 or parents[0] is None or not _PARENT.fullmatch(parents[0]):
        return []
    passed = [("traceparent", parents[0])]
    state = b",".join(content or b"" for name, content in headers if name == "tracestate")
    if state and _is_state(state) and not _holds(state, never):
        passed.append(("tracestate", state))
    return passed


def _is_state(state: bytes) -> bool:
    if len(state) > _MAX_STATE_BYTES:
        return False
    members = [member for part in state.split(b",") if (member := part.strip(b" \t"))]
    keys = {member.partition(b"=")[0] for member in members}
    return 0 < len(members) == len(keys) <= _MAX_MEMBERS and all(map(_MEMBER.fullmatch, members))


def _holds(state: bytes, names: Iterable[bytes]) -> bool:
    lowered = state.lower()
    return any(name and name.lower() in lowered for name in names)
