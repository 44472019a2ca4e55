"""Extension of griffe: the section ``Example:`` of a docstring is shown as code."""

import re
from typing import Any

import griffe


class Examples(griffe.Extension):
    """Rename ``Example:`` to the name under which griffe looks for code."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Change the docstring of one object."""
        if obj.docstring is not None:
            text = obj.docstring.value
            obj.docstring.value = re.sub(r"^(\s*)Example:$", r"\1Examples:", text, flags=re.M)
