"""What Label Studio and a browser ask of ``task=serve`` over HTTP."""

import base64
import hmac
import time
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, Field, TypeAdapter, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.middleware.trustedhost import TrustedHostMiddleware

from alupdate import __version__
from alupdate.labelstudio.client import RefusedError, UnreachableError
from alupdate.labelstudio.listening import Place
from alupdate.labelstudio.live import Live
from alupdate.labelstudio.page import status_page
from alupdate.labelstudio.project import Claim
from alupdate.utils.errors import InputError

PRODUCT = "alupdate"
"""By which one backend knows another."""
MOST_BYTES = 64 * 2**20
"""Of a request."""
ANNOTATIONS = frozenset(
    {"ANNOTATION_CREATED", "ANNOTATIONS_CREATED", "ANNOTATION_UPDATED", "ANNOTATIONS_DELETED"}
)
"""Webhook actions after which annotations are read, besides those about tasks."""
TASKS = frozenset({"TASKS_CREATED", "TASKS_DELETED"})
ACTIONS = ANNOTATIONS | TASKS
"""Webhook actions that are asked for."""

Content = TypeVar("Content", bound=BaseModel)
Call = Callable[[Request], Awaitable[Response]]


class _Reference(BaseModel):
    id: int


class _News(BaseModel):
    """A webhook's content; what else it says is not believed, but read from Label Studio."""

    action: str
    project: _Reference | None = None


class _Setup(BaseModel):
    project: Annotated[str, Field(pattern=r"^\d+(\.\d+)?$")]


class _Predict(BaseModel):
    project: Annotated[str, Field(pattern=r"^\d+(\.\d+)?$")]
    tasks: list[dict[str, Any]]


class Backend:
    """Answers the requests of one project's Label Studio.

    Attributes:
        app: the ASGI application.
    """

    def __init__(self, live: Live, claim: Claim, name: str, place: Place) -> None:
        """Make the application.

        Args:
            live: follows the project.
            claim: the project's number, and the name of this backend.
            name: of the pool, for people.
            place: where this program listens, and the token that requests must carry.
        """
        self._live, self._name, self._backend = live, name, claim.backend
        self._project, self._token = claim.project, place.token
        self.app = FastAPI(openapi_url=None)
        self.app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(place.hosts))
        self.app.middleware("http")(self._guard)
        self.app.get("/")(self._page)
        self.app.get("/health")(self._health)
        self.app.get("/versions")(self._versions)
        for path, answer in (
            ("/setup", self._setup),
            ("/predict", self._predict),
            ("/webhook", self._webhook),
            ("/validate", self._nothing_to_do),
            ("/train", self._nothing_to_do),
            ("/job_status", self._nothing_to_do),
            ("/delete", self._nothing_to_do),
            ("/duplicate_model", self._nothing_to_do),
        ):
            self.app.post(path)(answer)

    async def _guard(self, request: Request, call: Call) -> Response:
        """Refuse requests without the token, and those that are too large."""
        if self._token is not None and not has_token(request.headers, self._token):
            challenge = {"WWW-Authenticate": f'Basic realm="{PRODUCT}"'}
            return Response("a token is needed", 401, challenge)
        length = request.headers.get("content-length", "0")
        is_unknown = "transfer-encoding" in request.headers or not length.isdecimal()
        if is_unknown or int(length) > MOST_BYTES:
            return Response(f"a request may have {MOST_BYTES} bytes, and must say how many", 413)
        return await call(request)

    async def _page(self) -> HTMLResponse:
        text = await run_in_threadpool(status_page, self._live, self._name)
        return HTMLResponse(text)

    async def _health(self) -> dict[str, Any]:
        return {
            "status": "UP",
            "model_class": PRODUCT,
            "version": __version__,
            "backend": self._backend,
        }

    async def _versions(self) -> dict[str, Any]:
        return {"versions": [self._live.state.version]}

    async def _setup(self, request: Request) -> dict[str, Any]:
        """Say which version predicts now; the access token that comes with it is not used."""
        self._check_project(int((await _content(request, _Setup)).project.partition(".")[0]))
        return {"model_version": self._live.state.version}

    async def _predict(self, request: Request) -> dict[str, Any]:
        asked = await _content(request, _Predict)
        self._check_project(int(asked.project.partition(".")[0]))
        try:
            results = await run_in_threadpool(self._live.predicted, asked.tasks)
        except (InputError, KeyError, TypeError, ValueError) as error:
            raise HTTPException(422, str(error)) from error
        return {"results": results, "model_version": self._live.state.version}

    async def _webhook(self, request: Request) -> dict[str, Any]:
        """Read the annotations anew; the answer comes when the predictions are there."""
        arrived = time.monotonic()
        news = await _content(request, _News)
        if news.project is not None:
            self._check_project(news.project.id)
        if news.action not in ACTIONS:
            return {"status": "ignored"}
        try:
            await run_in_threadpool(self._live.catch_up, arrived, everything=news.action in TASKS)
        except (UnreachableError, RefusedError) as error:  # the next look makes up for it
            raise HTTPException(503, str(error)) from error
        return {"status": "ok", "model_version": self._live.state.version}

    async def _nothing_to_do(self) -> dict[str, Any]:
        """Agree: the model learns by webhooks, and there are no training jobs."""
        return {"status": "ok", "job_status": "finished"}

    def _check_project(self, number: int) -> None:
        if number != self._project:
            raise HTTPException(409, f"this backend is for project {self._project}, not {number}")


async def _content(request: Request, kind: type[Content]) -> Content:
    """Return the content of a request.

    Raises:
        HTTPException: it is none of this kind.
    """
    try:
        return TypeAdapter(kind).validate_json(await request.body())
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "the content"
        raise HTTPException(422, f"{place}: {first['msg']}") from error


def has_token(headers: Any, token: str) -> bool:
    """Return whether a request carries a token, by itself or as the password of a user.

    Args:
        headers: of the request.
        token: what is wanted.

    Example:
        >>> has_token({"authorization": "Bearer abc"}, "abc")
        True
        >>> has_token({"authorization": "Basic " + base64.b64encode(b"me:abc").decode()}, "abc")
        True
        >>> has_token({}, "abc")
        False
    """
    kind, _, given = headers.get("authorization", "").partition(" ")
    if kind.lower() == "basic":
        try:
            given = base64.b64decode(given, validate=True).decode().partition(":")[2]
        except ValueError:
            return False
    elif kind.lower() not in ("bearer", "token"):
        return False
    return hmac.compare_digest(given.encode(), token.encode())
