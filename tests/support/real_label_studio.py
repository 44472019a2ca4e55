"""A Label Studio of its own for a test: started, driven over HTTP as annotators do, and ended."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[2]
USER, PASSWORD = "admin@example.com", "a-password-of-8"
TOKEN = "0123456789abcdef0123456789abcdef01234567"
SECONDS_FOR_START = 900.0
SETTINGS = {
    "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
    "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
    "ML_BLOCK_LOCAL_IP": "false",
    "SSRF_PROTECTION_ENABLED": "false",
    "WEBHOOK_TIMEOUT": "60",
    "COLLECT_ANALYTICS": "false",
    "LATEST_VERSION_CHECK": "false",
    "SENTRY_DSN": "",
    "FRONTEND_SENTRY_DSN": "",
}
"""With which Label Studio calls programs on this machine, and nothing else."""
HOW = (
    "no Label Studio: it is looked for as $LABEL_STUDIO, in .venv-label-studio and on the path; "
    "docs/guide/label-studio.md says how to install it"
)


def executable():
    """Return the program of Label Studio; None where it is not installed."""
    own = ROOT / ".venv-label-studio" / "bin" / "label-studio"
    given = os.environ.get("LABEL_STUDIO") or (str(own) if own.is_file() else None)
    return given or shutil.which("label-studio")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


@dataclass
class Studio:
    """A running Label Studio.

    Attributes:
        url: of its first page.
        folder: of its data.
        files: the folder that it serves files of.
        process: of the program.
    """

    url: str
    folder: Path
    files: Path
    process: "subprocess.Popen[bytes] | None"

    def start(self):
        """Start it, again after a kill, and wait until it answers."""
        settings = {
            **SETTINGS,
            "LABEL_STUDIO_BASE_DATA_DIR": str(self.folder),
            "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(self.files),
        }
        kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
        with (self.folder / "output.txt").open("ab") as output:
            self.process = subprocess.Popen(
                [
                    executable(), "start", "--no-browser", "--port", self.url.rpartition(":")[2],
                    "--internal-host", "127.0.0.1", "--username", USER, "--password", PASSWORD,
                    "--user-token", TOKEN,
                ],
                env={**kept, **settings},
                stdout=output,
                stderr=output,
                start_new_session=True,
            )  # fmt: skip
        self._wait()

    def _wait(self):
        start = time.monotonic()
        while time.monotonic() - start < SECONDS_FOR_START:
            assert self.process.poll() is None, (self.folder / "output.txt").read_text()[-2000:]
            try:
                if httpx.get(f"{self.url}/health", timeout=5).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.3)
        raise AssertionError("Label Studio does not start")

    def kill(self):
        """Kill it at once."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@contextmanager
def running_studio(folder, files):
    """Run a Label Studio with its data in one folder, which serves files of another one."""
    folder.mkdir()
    studio = Studio(f"http://127.0.0.1:{free_port()}", folder, files, None)
    try:
        studio.start()
        yield studio
    finally:
        if studio.process is not None and studio.process.poll() is None:
            studio.kill()


class Annotator:
    """A user of Label Studio, logged in as a browser is.

    Args:
        studio: a running one.
        email: of the user, who is signed up unless it is the first one.
    """

    def __init__(self, studio, email=USER):
        self._client = httpx.Client(base_url=studio.url, timeout=60, follow_redirects=True)
        page = "/user/login/" if email == USER else "/user/signup/"
        self._client.get(page)
        token = self._client.cookies["csrftoken"]
        form = {"email": email, "password": PASSWORD, "csrfmiddlewaretoken": token}
        answer = self._client.post(page, data=form, headers={"Referer": studio.url})
        assert answer.status_code == 200, answer.text[:500]
        assert "sessionid" in self._client.cookies

    def close(self):
        """Close the connections."""
        self._client.close()

    def ask(self, method, path, content=None):
        """Make a request and return the answer's JSON."""
        headers = {"X-CSRFToken": self._client.cookies["csrftoken"], "Referer": "http://127.0.0.1"}
        answer = self._client.request(method, path, json=content, headers=headers)
        assert answer.status_code < 300, (method, path, answer.status_code, answer.text[:500])
        return answer.json() if answer.content else None

    def next(self, project):
        """Return the task that is served next."""
        return self.ask("GET", f"/api/projects/{project}/next")

    def annotate(self, task, label, **more):
        """Label a task as the page does."""
        shown = "image" if "image" in task["data"] else "text"
        choice = {"type": "choices", "value": {"choices": [label]}}
        result = [{"from_name": "choice", "to_name": shown, **choice}]
        path = f"/api/tasks/{task['id']}/annotations/"
        return self.ask("POST", path, {"result": result, **more})

    def change(self, annotation, label):
        """Choose another class in an annotation."""
        result = annotation["result"]
        result[0]["value"]["choices"] = [label]
        self.ask("PATCH", f"/api/annotations/{annotation['id']}/", {"result": result})

    def export(self, project, kind="JSON"):
        """Return an export."""
        return self._client.get(f"/api/projects/{project}/export?exportType={kind}").content


@dataclass
class Serving:
    """``task=serve`` as a process.

    Attributes:
        arguments: of the command.
        folder: its working directory.
        port: on which it listens.
        process: of the command.
    """

    arguments: list[str]
    folder: Path
    port: int
    process: "subprocess.Popen[bytes] | None" = None

    def start(self):
        """Start it, and wait until it is ready."""
        output = self.folder / "serve.txt"
        seen = output.stat().st_size if output.exists() else 0
        with output.open("ab") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "alupdate.run", *self.arguments, f"task.port={self.port}"],
                cwd=self.folder,
                env={**os.environ, "LABEL_STUDIO_API_KEY": TOKEN},
                stdout=file,
                stderr=file,
            )
        start = time.monotonic()
        while "ready:" not in (text := output.read_text()[seen:]):
            assert self.process.poll() is None, text
            assert time.monotonic() - start < SECONDS_FOR_START, text
            time.sleep(0.1)
        return text

    @property
    def page(self):
        """The text of its page."""
        return httpx.get(f"http://127.0.0.1:{self.port}/", timeout=60).text

    def kill(self):
        """Kill it at once, if it runs."""
        self.process.kill()
        self.process.wait()

    def end(self):
        """End it as Ctrl-C does; return the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(120)
