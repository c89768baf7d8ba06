"""Secrets that are none, and secrets where everybody can read them."""

import re
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, SecretStr

LEAST_CHARACTERS: Final = 16
LEAST_DIFFERENT: Final = 5
_REMEDY: Final = "set a long random text, such as openssl rand -hex 32 prints"

_PLACEHOLDER: Final = re.compile(
    r"(replace|change|insert|put|enter|fill)[-_ ]?(me|with|this|it|in|here|by)([-_ ].*|\d*)"
    r"|<.*>|\$\{.*|\{\{.*|your[-_ ].*"
    r"|(placeholder|example|sample|dummy|default|secret|password|passwd|token|todo|tbd|fixme|none|null|key)\d*"
    r"|x{3,}|\.{3,}|\*+",
    re.IGNORECASE | re.DOTALL,
)
_TOKEN: Final = re.compile(r"(?=[^/]*\d)(?=[^/]*[A-Za-z])[A-Za-z0-9_-]{20,}")
"""A part of a path that nobody would type: chat services put their secret there."""


def _no_placeholder(secret: SecretStr) -> SecretStr:
    if _PLACEHOLDER.fullmatch(secret.get_secret_value().strip()):
        raise ValueError(f"is a placeholder: {_REMEDY}")
    return secret


def _long_enough(secret: SecretStr) -> SecretStr:
    text = _no_placeholder(secret).get_secret_value().strip()
    if len(text) < LEAST_CHARACTERS:
        raise ValueError(
            f"has {len(text)} characters and can be guessed, {LEAST_CHARACTERS} are the least: {_REMEDY}"
        )
    if len(set(text)) < LEAST_DIFFERENT:
        raise ValueError(f"repeats {len(set(text))} characters, which can be guessed: {_REMEDY}")
    return secret


Password = Annotated[SecretStr, AfterValidator(_no_placeholder)]
"""A secret that somebody else has set the rules for."""

Key = Annotated[SecretStr, AfterValidator(_long_enough)]
"""A secret of ours: whoever guesses it undoes pseudonyms, signs alerts or reads them."""


def secret_in_url(text: str) -> str | None:
    """Where a URL (or several, by commas) holds what looks like a secret; None where it does not."""
    for part in text.split(","):
        try:
            url = urlsplit(part.strip())
            if not url.scheme or not url.netloc:
                continue
            if url.username is not None or url.password is not None:
                return "a user or password"
        except ValueError:
            continue
        if url.query or url.fragment:
            return "a query"
        if any(_TOKEN.fullmatch(step) for step in url.path.split("/")):
            return "what looks like a token"
    return None
