"""The requests that are made of Label Studio, over its HTTP API.

Its own SDK is not used: it wants an older NumPy and brings OpenCV, for the dozen requests here.
"""

import base64
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from itertools import count
from typing import Any, TypeGuard

import httpx

from alupdate.utils.errors import InputError, first_line, redacted

SECONDS = 60.0
"""How long an answer may take; the import of many tasks takes some seconds."""
PAGE_SIZE = 500
"""Tasks that are asked for at a time."""
SECONDS_BEFORE_END = 30.0
"""An access token is renewed when it has less than this left to live."""
TOKEN_ROUTE = "/api/token/refresh"  # noqa: S105 no secret
NO_CONTENT, NOT_FOUND = 204, 404
LONGEST_REASON = 300
"""Characters of an error message of Label Studio that are passed on."""

EPOCH = "1970-01-01T00:00:00Z"
"""Stands for a time that a task does not say."""
TaskData = dict[str, Any]
"""A task as Label Studio describes it in JSON."""


class RefusedError(InputError):
    """Label Studio answered, and would not do what it was asked.

    Attributes:
        status: of the answer.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class UnreachableError(Exception):
    """Label Studio did not answer, or is in trouble itself; the request can be made again."""


@dataclass(frozen=True)
class Reading:
    """Tasks that were read.

    Attributes:
        tasks: as Label Studio describes them.
        began: when, by its clock; None where it does not say.
    """

    tasks: list[TaskData]
    began: datetime | None


class LabelStudio:
    """Label Studio at one address, on behalf of one of its users.

    Args:
        url: of its first page.
        token: an access token of a user: a personal one, or a legacy one.
        transport: what sends requests; None for the network.
    """

    def __init__(self, url: str, token: str, transport: httpx.BaseTransport | None = None) -> None:
        self.url = url.rstrip("/")
        self._token = token
        self._client = httpx.Client(base_url=self.url, timeout=SECONDS, transport=transport)
        self._access: tuple[str, float] | None = None

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def version(self) -> str:
        """Return the version of the program."""
        return str(self._object(self._get("/api/version")).get("release", "unknown"))

    def project(self, number: int) -> dict[str, Any]:
        """Return a project."""
        return self._described(self._get(f"/api/projects/{number}/"))

    def create_project(self, settings: dict[str, Any]) -> dict[str, Any]:
        """Create a project and return it."""
        return self._described(self._send("POST", "/api/projects/", settings))

    def change_project(self, number: int, settings: dict[str, Any]) -> None:
        """Change settings of a project."""
        self._send("PATCH", f"/api/projects/{number}/", settings)

    def tasks(self, project: int, since: str | None = None) -> "Reading":
        """Read the tasks of a project with their annotations, a page after the other.

        Args:
            project: its number.
            since: only tasks that were changed after this time, which Label Studio gave.
        """
        query: dict[str, Any] = {"project": project, "page_size": PAGE_SIZE, "fields": "all"}
        if since is not None:
            changed = {
                "filter": "filter:tasks:updated_at",
                "operator": "greater",
                "type": "Datetime",
                "value": since,
            }
            filters = {"conjunction": "and", "items": [changed]}
            query["query"] = json.dumps({"filters": filters})
        read, began = list[TaskData](), None
        for page in count(1):
            start = time.monotonic()
            answer = self._response("GET", "/api/tasks", params={**query, "page": page})
            began = began or _asked_at(answer, time.monotonic() - start)
            content = self._object(self._content(answer))
            found, total = content.get("tasks"), content.get("total")
            if not isinstance(total, int) or not _are_tasks(found):
                raise self._strange()
            read += found
            if not found or len(read) >= total:
                break
        return Reading(read, began)

    def import_tasks(self, project: int, tasks: Sequence[TaskData]) -> None:
        """Add tasks to a project."""
        self._send("POST", f"/api/projects/{project}/import", list(tasks))

    def write_predictions(self, project: int, predictions: Sequence[dict[str, Any]]) -> None:
        """Add predictions to tasks of a project."""
        self._send("POST", f"/api/projects/{project}/import/predictions", list(predictions))

    def model_versions(self, project: int) -> list[dict[str, Any]]:
        """Return the model versions of a project's predictions, with the time of the latest."""
        answer = self._get(f"/api/projects/{project}/model-versions/", {"extended": "true"})
        return self._objects(self._object(answer).get("static", []))

    def delete_predictions(self, project: int, version: str) -> None:
        """Delete the predictions of one model version."""
        path = f"/api/projects/{project}/model-versions/"
        self._send("DELETE", path, {"model_version": version})

    def backends(self, project: int) -> list[dict[str, Any]]:
        """Return the machine-learning backends that a project is connected with."""
        return self._objects(self._get("/api/ml/", {"project": project}))

    def put_backend(self, number: int | None, settings: dict[str, Any]) -> None:
        """Connect a project with a backend, whose health is checked first, or change a connection.

        Args:
            number: of the connection to change; None for a new one.
            settings: of it.
        """
        if number is None:
            self._send("POST", "/api/ml/", settings)
        else:
            self._send("PATCH", f"/api/ml/{number}", settings)

    def webhooks(self, project: int) -> list[dict[str, Any]]:
        """Return the webhooks of a project."""
        return self._objects(self._get("/api/webhooks/", {"project": project}))

    def put_webhook(self, number: int | None, settings: dict[str, Any]) -> None:
        """Add a webhook, or change the one of a number."""
        if number is None:
            self._send("POST", "/api/webhooks/", settings)
        else:
            self._send("PATCH", f"/api/webhooks/{number}/", settings)

    def local_storages(self, project: int) -> list[dict[str, Any]]:
        """Return the folders that Label Studio serves the files of to a project."""
        return self._objects(self._get("/api/storages/localfiles", {"project": project}))

    def add_local_storage(self, settings: dict[str, Any]) -> None:
        """Let Label Studio serve the files of a folder to a project."""
        self._send("POST", "/api/storages/localfiles", settings)

    def _get(self, path: str, query: dict[str, Any] | None = None) -> Any:
        return self._asked("GET", path, params=query)

    def _send(self, method: str, path: str, content: Any) -> Any:
        return self._asked(method, path, json=content)

    def _asked(self, method: str, path: str, **arguments: Any) -> Any:
        """Make a request and return the JSON of the answer; errors as ``_response``."""
        answer = self._response(method, path, **arguments)
        return {} if answer.status_code == NO_CONTENT else self._content(answer)

    def _response(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        """Make a request and return the answer.

        Raises:
            RefusedError: the answer is an error of ours.
            UnreachableError: there is no answer, or an error of Label Studio's own.
        """
        answer = self._answer(method, path, {"Authorization": self._authorization()}, arguments)
        if answer.status_code == 401 and self._access is not None:
            self._access = None
            answer = self._answer(method, path, {"Authorization": self._authorization()}, arguments)
        if answer.status_code >= 400:
            raise RefusedError(self._complaint(path, answer), answer.status_code)
        return answer

    def _content(self, answer: httpx.Response) -> Any:
        try:
            return answer.json()
        except (ValueError, RecursionError):
            raise self._strange() from None

    def _strange(self) -> RefusedError:
        where = f"labelstudio.url={redacted(self.url)}"
        return RefusedError(f"{where}: what answers there is not Label Studio", 200)

    def _answer(
        self, method: str, path: str, headers: dict[str, str], arguments: dict[str, Any]
    ) -> httpx.Response:
        try:
            answer = self._client.request(method, path, headers=headers, **arguments)
        except httpx.HTTPError as error:
            raise UnreachableError(self._silence(first_line(error, typed=True))) from error
        except (httpx.InvalidURL, UnicodeError) as error:
            raise InputError(
                f"labelstudio.url={redacted(self.url)}: is no address ({first_line(error)})"
            ) from error
        if answer.status_code >= 500:
            raise UnreachableError(self._complaint(path, answer))
        return answer

    def _silence(self, reason: str) -> str:
        return f"labelstudio.url={redacted(self.url)}: Label Studio does not answer ({reason})"

    def _complaint(self, path: str, answer: httpx.Response) -> str:
        where = f"labelstudio.url={redacted(self.url)}"
        if answer.status_code == 401:
            return (
                "labelstudio.token: Label Studio does not accept it; take a personal access token "
                "of Account & Settings there"
            )
        return f"{where}: {path.partition('?')[0]}: {answer.status_code}, {_reason(answer)}"

    def _authorization(self) -> str:
        """Return the header of a request.

        A personal access token is a JSON Web Token, which is exchanged for one that lives for some
        minutes; a legacy token has no dots.
        """
        if self._token.count(".") != 2:
            return f"Token {self._token}"
        if self._access is None or self._access[1] - time.time() < SECONDS_BEFORE_END:
            answer = self._answer("POST", TOKEN_ROUTE, {}, {"json": {"refresh": self._token}})
            if answer.status_code >= 400:
                status = 401 if answer.status_code == 400 else answer.status_code
                raise RefusedError(self._complaint(TOKEN_ROUTE, httpx.Response(status)), status)
            access = str(self._object(self._content(answer)).get("access", ""))
            self._access = access, end_of_token(access)
        return f"Bearer {self._access[0]}"

    def _described(self, project: Any) -> dict[str, Any]:
        if not isinstance(self._object(project).get("id"), int):
            raise self._strange()
        return self._object(project)

    def _object(self, answer: Any) -> dict[str, Any]:
        if not isinstance(answer, dict):
            raise self._strange()
        return answer

    def _objects(self, answer: Any) -> list[dict[str, Any]]:
        if not isinstance(answer, list):
            raise self._strange()
        return [self._object(one) for one in answer]


def _asked_at(answer: httpx.Response, seconds: float) -> datetime | None:
    """Return when a request was made, by the clock of who answered it; a second early at most.

    Args:
        answer: to the request.
        seconds: that it took.
    """
    try:
        said = parsedate_to_datetime(answer.headers["date"])
    except (KeyError, ValueError):
        return None
    if said.tzinfo is None:
        said = said.replace(tzinfo=UTC)
    return said - timedelta(seconds=seconds)


def _are_tasks(found: Any) -> TypeGuard[list[TaskData]]:
    """Return whether something is a list of tasks: with numbers, annotations, and known times."""
    return isinstance(found, list) and all(
        isinstance(task, dict)
        and isinstance(task.get("id"), int)
        and isinstance(task.get("annotations") or [], list)
        and _is_time(task.get("updated_at") or EPOCH)
        for task in found
    )


def _is_time(value: Any) -> bool:
    try:
        return datetime.fromisoformat(value).year > 1
    except (ValueError, TypeError):
        return False


def _reason(answer: httpx.Response) -> str:
    """Return what Label Studio says is wrong, in one line."""
    try:
        found = answer.json()
    except (ValueError, RecursionError):
        return first_line(ValueError(answer.reason_phrase))
    if not isinstance(found, dict):
        return str(found)[:LONGEST_REASON]
    details = found.get("validation_errors") or found.get("detail") or found
    return " ".join(str(details).split())[:LONGEST_REASON]


def end_of_token(token: str) -> float:
    """Return when a JSON Web Token ends, in seconds since 1970; 0 where it does not say so.

    Example:
        >>> content = base64.urlsafe_b64encode(b'{"exp": 12}').decode().rstrip("=")
        >>> end_of_token(f"head.{content}.signature"), end_of_token("none")
        (12.0, 0.0)
    """
    try:
        _, content, _ = token.split(".")
        padded = content + "=" * (-len(content) % 4)
        return float(json.loads(base64.urlsafe_b64decode(padded))["exp"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return 0.0
