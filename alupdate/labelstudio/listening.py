"""Where this program listens for Label Studio, and who may ask it."""

import ipaddress
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from alupdate.config import ServeTask
from alupdate.utils.errors import InputError

SECONDS_FOR_START, SECONDS_FOR_END = 10.0, 5.0
"""How long the server may take."""

FIT = re.compile(r"[!-~]+")
"""What a header can carry as it is."""


def secret(value: str | None, key: str, variable: str | None = None) -> str | None:
    """Return a secret: a value as it is, or that of an environment variable; None for none.

    Args:
        value: the setting; ``$NAME`` names an environment variable.
        key: of the setting.
        variable: the environment variable where nothing is set.

    Raises:
        InputError: the environment has no such variable, or a header cannot carry the secret; the
            message does not show it.
    """
    if value is None:
        found = None if variable is None else os.environ.get(variable) or None
    elif value.startswith("$"):
        found = os.environ.get(value[1:])
        if not found:
            raise InputError(f"{key}={value}: the environment has no variable {value[1:]}")
    else:
        found = value
    if found is not None and not FIT.fullmatch(found):
        raise InputError(f"{key}: may have ASCII letters, digits and signs alone, without spaces")
    return found


@dataclass(frozen=True)
class Place:
    """Where this program listens.

    Attributes:
        host, port: of the socket.
        address: of this program for Label Studio, without a slash at its end.
        token: that requests must carry; None for none.
    """

    host: str
    port: int
    address: str
    token: str | None

    @classmethod
    def of(cls, task: ServeTask) -> "Place":
        """Return the place that a task names.

        Raises:
            InputError: others could reach it, and there is no token.
        """
        token = secret(task.token, "task.token")
        shown = f"[{task.host}]" if ":" in task.host else task.host
        address = (task.public_url or f"http://{shown}:{task.port}").rstrip("/")
        for key, host in (("host", task.host), ("public_url", urlsplit(address).hostname or "")):
            if token is None and not is_own(host):
                raise InputError(
                    f"task.{key}={getattr(task, key)}: others can reach it, so that it needs a "
                    "token; give task.token='$NAME', NAME being an environment variable"
                )
        return cls(task.host, task.port, address, token)

    @property
    def hosts(self) -> tuple[str, ...]:
        """The names by which this program may be addressed."""
        public = urlsplit(self.address).hostname or self.host
        return tuple(dict.fromkeys(["localhost", "127.0.0.1", "[::1]", self.host, public]))


def is_own(host: str) -> bool:
    """Return whether only programs of this machine reach a host.

    Example:
        >>> is_own("127.0.0.1"), is_own("localhost"), is_own("0.0.0.0"), is_own("::1")
        (True, True, False, True)
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@contextmanager
def listening_at(place: Place) -> Iterator[socket.socket]:
    """Open the socket, before anything is written.

    Raises:
        InputError: it cannot be opened.
    """
    family = socket.AF_INET6 if ":" in place.host else socket.AF_INET
    try:
        listening = socket.create_server((place.host, place.port), family=family)
    except OSError as error:
        raise InputError(
            f"task.port={place.port}: cannot listen on {place.host} ({error.strerror or error})"
        ) from error
    with listening:
        yield listening


@contextmanager
def served(app: Callable[..., Any], listening: socket.socket) -> Iterator[None]:
    """Answer requests in a thread of its own.

    Args:
        app: an ASGI application.
        listening: the socket.

    Raises:
        InputError: the server does not start.
    """
    import uvicorn

    settings = uvicorn.Config(
        app, log_config=None, log_level="critical", access_log=False, lifespan="off",
        server_header=False,
    )  # fmt: skip
    server = uvicorn.Server(settings)
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    start = time.monotonic()
    while not server.started:
        if not thread.is_alive() or time.monotonic() - start > SECONDS_FOR_START:
            raise InputError("task=serve: the server does not start")
        time.sleep(0.01)
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(SECONDS_FOR_END)
