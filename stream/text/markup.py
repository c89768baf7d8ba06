"""Tags that a mail, web or chat client left in a text. Pure.

Only HTML's own, and how Slack and Discord write whom or what somebody named (``<@U024BE7LH>``, an emoji of
their own): ``<3``, ``a < b`` and ``<sigh>`` are people's.
"""

import re
from typing import Final

_BLOCKS: Final = (
    "address|article|aside|blockquote|body|br|caption|center|dd|div|dl|dt|fieldset|figcaption|figure|footer|"
    "form|h[1-6]|head|header|hr|html|legend|li|main|nav|noscript|ol|p|pre|section|table|tbody|td|tfoot|th|"
    "thead|title|tr|ul"
)
_INLINE: Final = (
    "a|abbr|acronym|b|bdi|bdo|big|button|cite|code|col|colgroup|del|em|font|i|img|input|ins|kbd|label|link|"
    "mark|meta|nobr|picture|q|s|samp|small|span|strike|strong|sub|sup|tt|u|wbr|(?:m|o|st1|v|w):[a-z]+"
)
_VALUELESS: Final = "checked|compact|controls|disabled|hidden|noshade|nowrap|reversed"
"""Attributes that HTML lets stand without a value; other words in a tag are people's: ``<a lie>``."""
_TAG: Final = re.compile(
    rf"</?(?:(?P<block>{_BLOCKS})|{_INLINE})"
    r"(?:\s+(?:[A-Za-z_:][\w:.-]*\s*=\s*(?:\"[^\"<>]*\"|'[^'<>]*'|[^\s\"'<>]+)"
    rf"|{_VALUELESS}))*\s*/?>"
    r"|<!(?:DOCTYPE\b|--|\[(?:if|endif)\b)[^<>]*>|<\?xml\b[^<>]*>"
    r"|<(?-i:[@#][!&]?[A-Z\d]{8,20})(?:\|[^<>]*)?>|<!(?:channel|everyone|here|subteam\^\w+)(?:\|[^<>]*)?>"
    r"|<a?(?P<emoji>:\w+:)\d{15,20}>",
    re.IGNORECASE,
)
_HIDDEN: Final = re.compile(r"<(/?)(style|script)\b[^<>]*>", re.IGNORECASE)
_QUOTE: Final = re.compile(r"<(/?)(blockquote)\b[^<>]*>", re.IGNORECASE)


def without_markup(text: str) -> str:
    """The text with tags taken out; those of blocks end a line. Never longer than before."""
    if "<" not in text:
        return text
    written: list[str] = []
    opened: list[int] = []
    for part in re.split("([<>])", _without_elements(_without_comments(text), _HIDDEN)):
        if part == "<":
            opened.append(len(written))
        written.append(part)
        if part == ">" and opened:
            start = opened.pop()
            if tag := _TAG.fullmatch("".join(written[start:])):
                written[start:] = ["\n"] if tag["block"] else [tag["emoji"] or ""]
            else:  # a tag holds no ">", so none that was opened before can end any more
                opened.clear()
    return "".join(written)


def without_block_quotes(text: str) -> str:
    """The text without ``<blockquote>``: what a mail client puts the quoted mail into."""
    return _without_elements(text, _QUOTE) if "<" in text else text


def _without_comments(text: str) -> str:
    """The text without ``<!-- … -->``, of which Outlook shows some; one that never ends hides nothing."""
    kept: list[str] = []
    position = 0
    while (start := text.find("<!--", position)) >= 0 and (end := text.find("-->", start + 2)) >= 0:
        kept.append(text[position:start])
        position = end + 3
    return "".join((*kept, text[position:]))


def _without_elements(text: str, tags: re.Pattern[str]) -> str:
    """The text without what stands between these tags; one that is opened and never closed stays."""
    kept, opened, closed_at = [""], dict[str, list[int]](), 0
    spans: list[tuple[int, int]] = []
    for tag in tags.finditer(text):
        starts = opened.setdefault(tag[2].lower(), [])
        if not tag[1]:
            starts.append(tag.start())
        elif starts:
            spans.append((starts.pop(), tag.end()))
    for start, end in sorted(spans):
        if start >= closed_at:
            kept.append(text[closed_at:start])
        closed_at = max(closed_at, end)
    return "\n".join(["".join(kept[:2]), *kept[2:], text[closed_at:]]) if spans else text
