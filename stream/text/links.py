"""Addresses of pages and mailboxes: their words are the site's, not the author's. Pure."""

import re
from typing import Final

_LETTERS: Final = r"\w\u00c0-\u024f\u0400-\u04ff"
_PATH: Final = rf"(?:[{_LETTERS}.~:/?#@$&*+=%!',;-]|\([{_LETTERS}.~:/?#@$&*+=%!',;-]*\))*"
_LAST: Final = rf"(?:[{_LETTERS}/~#$&*+=%-]|(?<=\))(?<!\(\)))"
_LABEL: Final = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
_COMMON_ENDINGS: Final = (
    "app|ar|at|au|be|biz|br|ca|ch|cn|co|com|cz|de|dev|dk|edu|es|eu|fi|fr|gl|gov|gr|in|info|io|it|jp|kr|ly|me|"
    "mx|net|nl|no|nz|org|pl|pt|ro|ru|se|shop|site|tr|tv|ua|uk|us|xyz|za"
)
"""Without a scheme only these are taken for a site: people leave out the space after a full stop."""
_LINK: Final = re.compile(
    rf"(?<![a-zA-Z0-9])(?:https?|ftp)://{_PATH}{_LAST}"
    rf"|(?<![\w.-])www\.{_PATH}{_LAST}"
    rf"|(?<![\w.@-])(?:mailto:)?[\w.+-]{{1,64}}@(?:{_LABEL}\.)+[a-zA-Z]{{2,24}}(?![\w-])"
    rf"|(?<![\w.@/-])(?:{_LABEL}\.)+(?:{_COMMON_ENDINGS})/{_PATH}{_LAST}",
    re.ASCII,
)
_MAY_HOLD_LINK: Final = re.compile(r"://|www\.|@|\.[a-z]{2,4}/")
_MARKDOWN: Final = re.compile(r"!?\[([^\[\]\n]{0,1000})\]\(\s*\)")
_SLACK: Final = re.compile(r"<\|([^<>|]{0,1000})>")
_EMPTY_BRACKETS: Final = re.compile(r"\([ \t]*\)|<[ \t]*>|\[[ \t]*\]")


def without_links(text: str) -> str:
    """The text without web and mail addresses; of a link in Markdown or Slack its words stay."""
    if not _MAY_HOLD_LINK.search(text):
        return text
    left = _LINK.sub("", text)
    if left == text:
        return text
    return _EMPTY_BRACKETS.sub("", _SLACK.sub(r"\1", _MARKDOWN.sub(r"\1", left)))
