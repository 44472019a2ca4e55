"""Hooks of mkdocs: a key such as [Ash2020] becomes a link into the bibliography."""

import re
from pathlib import Path
from typing import Any

KEY = re.compile(r"\[([A-Z][A-Za-z]+\d{4}[a-z]?)\](?!\()")
BIBLIOGRAPHY = "bibliography.md"


def keys(text: str) -> set[str]:
    """Return the keys that the bibliography defines, each in a heading of its own."""
    return set(re.findall(r"^#+ \[(\w+)\]$", text, flags=re.MULTILINE))


def on_page_content(html: str, page: Any, config: Any, **_: Any) -> str:
    """Link the keys in a page, docstrings included, to their references."""
    if page.file.src_uri == BIBLIOGRAPHY:
        return html
    known = keys((Path(config.docs_dir) / BIBLIOGRAPHY).read_text(encoding="utf-8"))
    place = "../" * page.url.count("/") + "bibliography/"

    def linked(match: re.Match[str]) -> str:
        key = match[1]
        return f'<a href="{place}#{key.lower()}">[{key}]</a>' if key in known else match[0]

    return KEY.sub(linked, html)
