"""What the site adds to mkdocs: links into the bibliography, and examples shown as code.

mkdocs runs ``on_page_markdown`` for each page, mkdocstrings the extension for each docstring.
"""

import re
from typing import Any

import griffe

KEY = re.compile(r"(?<![\\\]])\[([A-Z][A-Za-z]+(?:19|20)\d\d[a-z]?)\](?![\[(:])")
"""A key of the bibliography, such as Ash2020 in brackets."""

BIBLIOGRAPHY = "bibliography.md"


def linked(text: str) -> str:
    """Make each key a cross-reference; one that the bibliography lacks fails a strict build."""
    return KEY.sub(lambda match: rf"[\[{match[1]}\]][{match[1].lower()}]", text)


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Link the keys of a page."""
    return markdown if page.file.src_uri == BIBLIOGRAPHY else linked(markdown)


class Docstrings(griffe.Extension):
    """Link the keys of docstrings, and name sections as griffe does."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Change the docstring of one object."""
        if obj.docstring is not None:
            text = re.sub(r"^(\s*)Example:$", r"\1Examples:", obj.docstring.value, flags=re.M)
            obj.docstring.value = linked(text)
