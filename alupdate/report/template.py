"""Self-contained HTML pages from a template, with styles and scripts of this package alone."""

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from alupdate import __version__

Filter = Callable[[str], Markup | str]


def rendered(
    package: str,
    template: str,
    style: str,
    scripts: Sequence[str],
    filters: Mapping[str, Filter],
    values: Mapping[str, Any],
) -> str:
    """Return the text of a page; every value is escaped where it is no ``Markup``.

    The template also gets ``version``, ``style``, ``script`` and ``script_digest``: the SHA-256 by
    which a content security policy allows this one script.

    Args:
        package: whose folder ``assets`` holds the files.
        template, style: names of files.
        scripts: names of files that become one script.
        filters: of the template.
        values: what the template names.
    """
    environment = Environment(
        loader=PackageLoader(package, "assets"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= filters

    def content(name: str) -> str:
        assert environment.loader is not None
        return environment.loader.get_source(environment, name)[0]

    script = "\n".join(map(content, scripts))
    return environment.get_template(template).render(
        version=__version__,
        style=Markup(content(style)),  # noqa: S704 a file of this package
        script=Markup(script),  # noqa: S704 files of this package
        script_digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        **values,
    )
