"""Make the site of the docs: ``make docs`` writes it to ``build/site``.

The pages are those that are read on GitHub. Beside ``docs/`` the site has README as its first page, a page of the
examples, and the few files that pages link to; links are turned to where things lie there. A link that leads nowhere is
an error.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[1]
SOURCE, SITE = ROOT / "build" / "site-source", ROOT / "build" / "site"

PAGES_ELSEWHERE = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "benchmarks/README.md": "benchmarks.md",
}
EXAMPLES = "examples.md"

_CODE = re.compile(r"(^ *```.*?^ *```$|`[^`\n]+`)", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"""(?P<before>\]\(|(?:src|srcset|href)=")(?P<target>[^)\s"]+)""")


class DeadLinks(Exception):
    """Links that lead nowhere, one a line."""


def site_pages() -> dict[str, str]:
    """The pages by their path in the repository: where each lies in the site."""
    inside = {f"docs/{path.relative_to(ROOT / 'docs').as_posix()}": path for path in (ROOT / "docs").rglob("*.md")}
    pages = {name: name.removeprefix("docs/") for name in inside}
    return pages | {name: place for name, place in PAGES_ELSEWHERE.items() if (ROOT / name).is_file()}


def assemble(folder: Path) -> None:
    """Write the pages, and the files that they link to, into an empty ``folder``. Raises DeadLinks."""
    shutil.rmtree(folder, ignore_errors=True)
    dead: list[str] = []
    for name, place in site_pages().items():
        text = (ROOT / name).read_text(encoding="utf-8")
        _write(folder / place, _with_links_turned(text, name, place, folder, dead))
    _write(folder / EXAMPLES, "".join(_examples(folder)))
    if dead:
        raise DeadLinks("\n".join(dead))


def _with_links_turned(text: str, name: str, place: str, folder: Path, dead: list[str]) -> str:
    def turned(link: re.Match[str]) -> str:
        target, hash_sign, anchor = link["target"].partition("#")
        if not target or re.match(r"[a-z]+:", target):
            return link[0]
        path = os.path.normpath(PurePosixPath(name).parent / target)
        there = _place_of(path, folder)
        if there is None:
            dead.append(f"{name}: {target}: no such file")
            return link[0]
        page, _, own_anchor = there.partition("#")
        relative = os.path.relpath(page, PurePosixPath(place).parent)
        return link["before"] + relative + (hash_sign + anchor if anchor else own_anchor and "#" + own_anchor)

    pieces = _CODE.split(text)
    return "".join(piece if number % 2 else _LINK.sub(turned, piece) for number, piece in enumerate(pieces))


def _place_of(path: str, folder: Path) -> str | None:
    """Where in the site a path of the repository lies; a file that is no page is copied there. None: no such path."""
    pages = site_pages()
    if path in pages:
        return pages[path]
    if f"{path}/README.md" in pages:
        return pages[f"{path}/README.md"]
    first, _, rest = path.partition("/")
    if first == "examples" and (ROOT / path).exists():
        example = rest.partition("/")[0]
        if not example:
            return EXAMPLES
        if (ROOT / path).is_dir() or (ROOT / "examples" / example / "gate.yaml").is_file():
            return f"{EXAMPLES}#{example}"
    if not (ROOT / path).is_file():
        return None
    inside = path.removeprefix("docs/") if path.startswith("docs/") else f"files/{path}"
    (folder / inside).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / path, folder / inside)
    return inside


def _examples(into: Path) -> Iterator[str]:
    """Every example's gate file, and the names of what lies beside it; then the folders of files to copy."""
    yield "# Examples\n\nGate files with data, each in a folder of `examples/`. Every one of them is run by a test.\n"
    for folder in sorted((ROOT / "examples").iterdir()):
        if (folder / "gate.yaml").is_file():
            beside = sorted(one.name for one in folder.iterdir() if one.name not in ("gate.yaml", "__pycache__"))
            named = ", ".join(f"`{name}`" for name in beside)
            gate = (folder / "gate.yaml").read_text(encoding="utf-8").rstrip()
            yield f"\n## {folder.name}\n\n`examples/{folder.name}/gate.yaml`, beside {named}\n\n```yaml\n{gate}\n```\n"
    for folder in sorted((ROOT / "examples").iterdir()):
        if folder.is_dir() and not (folder / "gate.yaml").is_file():
            paths = [one.relative_to(ROOT).as_posix() for one in sorted(folder.iterdir()) if one.is_file()]
            links = "".join(f"* [`{path}`]({_place_of(path, into)})\n" for path in paths)
            yield f"\n## {folder.name}\n\nTo copy:\n\n{links}"


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")


def main() -> int:
    try:
        assemble(SOURCE)
    except DeadLinks as error:
        sys.stderr.write(f"{error}\n")
        return 1
    shutil.rmtree(SITE, ignore_errors=True)
    command = [str(Path(sys.executable).parent / "zensical"), "build", "--strict", "--config-file", "mkdocs.yml"]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
