"""The code blocks of README, CONTRIBUTING and the pages of docs/.

In the line above a block may stand ``<!-- not run: REASON -->``, or the name of the file that the
block is, alone and in backticks.
"""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]

FENCE = re.compile(
    r"(?:^(?P<above>\S[^\n]*)\n\n?)?^```(?P<language>\w+)\n(?P<code>.*?)^```$", re.M | re.S
)
FILE = re.compile(r"`([\w./-]+\.\w+)`")
NOT_RUN = re.compile(r"<!-- not run: (.+) -->")


@dataclass(frozen=True)
class Block:
    """A fenced block of code.

    Attributes:
        language: as the fence says.
        code: what is inside.
        file: the name of the file that it is, or None.
        not_run: the reason why it is not run, or None.
    """

    language: str
    code: str
    file: str | None
    not_run: str | None

    @property
    def commands(self) -> list[str]:
        """The commands of a shell block, each on one line, without comments."""
        joined = self.code.replace("\\\n", " ")
        lines = [line.partition(" #")[0].strip() for line in joined.splitlines()]
        return [line for line in lines if line]


def blocks(text: str) -> list[Block]:
    """Return the blocks of a page in order."""
    found = []
    for match in FENCE.finditer(text):
        above = match["above"] or ""
        file, reason = FILE.fullmatch(above), NOT_RUN.fullmatch(above)
        found.append(
            Block(
                match["language"],
                match["code"],
                file[1] if file else None,
                reason[1] if reason else None,
            )
        )
    return found


def name_of(page: Path) -> str:
    """Return a page's path in the repository."""
    return page.relative_to(ROOT).as_posix()


def section(text: str, heading: str) -> str:
    """Return what stands between a heading and the next one of its level or above."""
    level = len(heading.partition(" ")[0])
    kept, inside = [], False
    for line in text.split(f"\n{heading}\n")[1].splitlines(keepends=True):
        inside ^= line.startswith("```")
        if not inside and re.match(rf"#{{1,{level}}} ", line):
            break
        kept.append(line)
    return "".join(kept)


def anchors(text: str) -> set[str]:
    """Return the anchors that a page's headings get."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S), re.M)
    kept = [re.sub(r"[^\w\- ]", "", re.sub(r"[`*]", "", heading)) for heading in headings]
    return {heading.strip().lower().replace(" ", "-") for heading in kept}
