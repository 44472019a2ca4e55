"""The source files of a plug-in: what decides its answers, beside its settings."""

import ast
import hashlib
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

OWN_PACKAGE = __name__.partition(".")[0]
"""Its version is recorded with every result."""
INSTALLED = {"site-packages", "dist-packages"}


def module_sources(module: str) -> dict[str, str]:
    """Return the files that a module is made of: path to SHA-256.

    These are its own file and the files beside it that it imports, directly or not, as the
    statements in the files say: nothing is run. Of an installed package only its own files count.

    Args:
        module: its name; the paths are relative to the folder in which Python finds it.

    Returns:
        Nothing where there is no such module.
    """
    top = module.partition(".")[0]
    spec = PathFinder.find_spec(top, [*sys.path, *([] if "" in sys.path else [""])])
    folder = _folder_of(spec)
    if folder is None:
        return {}
    found: dict[str, str] = {}
    waiting = [module]
    while waiting:
        for path in _files(folder, waiting.pop()):
            name = path.relative_to(folder).as_posix()
            if name in found:
                continue
            content = path.read_bytes()
            found[name] = hashlib.sha256(content).hexdigest()
            waiting += _imports(content, name, None if _is_local(folder) else top)
    return found


def _folder_of(spec: ModuleSpec | None) -> Path | None:
    """Return the folder that holds a top-level module or package."""
    if spec is None:
        return None
    if spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations))).parent.absolute()
    return Path(spec.origin).parent.absolute() if spec.has_location and spec.origin else None


def _is_local(folder: Path) -> bool:
    return not INSTALLED.intersection(folder.parts) and not folder.is_relative_to(sys.base_prefix)


def _files(folder: Path, module: str) -> Iterator[Path]:
    """Yield the files of a module and of the packages around it, as far as they lie in a folder."""
    parts = module.split(".")
    for depth in range(1, len(parts) + 1):
        base = folder.joinpath(*parts[:depth])
        near = base.parent.glob(f"{base.name}.*.so") if base.parent.is_dir() else ()
        for path in (base / "__init__.py", base.with_name(f"{base.name}.py"), *near):
            if path.is_file():
                yield path


def _imports(content: bytes, name: str, top: str | None) -> Iterator[str]:
    """Yield the names that a file imports, with the given top-level package only."""
    try:
        nodes = list(ast.walk(ast.parse(content)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    package = name.removesuffix(".py").split("/")[:-1]
    for node in nodes:
        for imported in _names(node, package):
            first = imported.partition(".")[0]
            if first != OWN_PACKAGE and top in (None, first):
                yield imported


def _names(node: ast.AST, package: list[str]) -> list[str]:
    """Return what a statement of a file in a package may import."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    base = package[: len(package) - node.level + 1] if node.level else []
    base = [*base, *(node.module.split(".") if node.module else [])]
    return [".".join([*base, alias.name]) for alias in node.names]
