"""What mkdocs needs to build the site from a repository whose pages do not all lie in docs.

Pages keep their place, where people who read the repository look for them, and links in them are written for
that place. Here they join the site, and links are turned: to a page of the site where there is one; to plain
text where the target is a file of the repository alone. A link to nothing fails the build.
"""

import posixpath
import re
from pathlib import Path
from typing import Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT: Final = Path(__file__).parent.parent
ELSEWHERE: Final = {
    "index.md": "README.md",
    "changelog.md": "CHANGELOG.md",
    "reliability.md": "RELIABILITY.md",
    "operations.md": "deploy/README.md",
    "runbook.md": "deploy/RUNBOOK.md",
    "kubernetes.md": "deploy/kubernetes/README.md",
    "examples.md": "examples/README.md",
    "model-card.md": "model/weights/README.md",
    "runtimes.md": "model/RUNTIMES.md",
    "results.md": "training/RESULTS.md",
}
"""Pages of the site by their file in the repository."""

_PAGES: Final = {source: page for page, source in ELSEWHERE.items()} | {"docs/schemas/README.md": "topics.md"}
_LOADED: Final = re.compile(r'<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)="(?:https?:)?//[^"]*"')
_LINK: Final = re.compile(r"(!?)\[([^\]\n]*(?:\n[^\]\n]*)?)\]\(([^)\s]+)\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages from elsewhere."""
    for page, source in ELSEWHERE.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Turn the links of a page."""
    name = page.file.src_uri
    return _LINK.sub(lambda link: _turned(link, ELSEWHERE.get(name, f"docs/{name}")), markdown)


def on_post_page(output: str, page: Page, **_: object) -> str:
    """Refuse a page that a browser would have to load something from elsewhere for."""
    if loaded := _LOADED.search(output):
        raise PluginError(f"{page.file.src_uri} loads from elsewhere: {loaded[0]}")
    return output


def _turned(link: re.Match[str], source: str) -> str:
    image, text, target = link.groups()
    path, hash_sign, anchor = target.partition("#")
    if not path or re.match(r"[a-z]+:", target):
        return link[0]
    found = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
    if not (ROOT / found).exists():
        raise PluginError(f"{source} links to {target}, which is not in the repository")
    if found in _PAGES:
        return f"{image}[{text}]({_PAGES[found]}{hash_sign}{anchor})"
    if found.startswith("docs/") and (ROOT / found).is_file():
        return f"{image}[{text}]({found.removeprefix('docs/')}{hash_sign}{anchor})"
    return text
