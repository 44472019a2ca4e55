"""Provenance of a result: versions, git revision and machine."""

import platform
import socket
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

RECORDED_PACKAGES = (
    "alupdate",
    "torch",
    "numpy",
    "scipy",
    "scikit-learn",
    "timm",
    "hydra-core",
    "pandas",
)


def now() -> str:
    """Return the time in UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def provenance() -> dict[str, object]:
    """Return versions, git revision (None outside a checkout) and host."""
    return {
        "versions": {"python": platform.python_version()} | _versions(),
        "git_revision": _git_revision(),
        "host": socket.gethostname(),
        "platform": platform.platform(),
    }


def _versions() -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for package in RECORDED_PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = None
    return found


def _git_revision() -> str | None:
    package = Path(__file__).resolve().parent
    try:
        answer = subprocess.run(
            ["git", "-C", str(package), "describe", "--always", "--dirty", "--abbrev=12"],
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip() or None
