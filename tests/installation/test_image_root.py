"""How a Dockerfile and a build context are read where there is no engine. `make image-root` does it in earnest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from image_aid import build_root, dockerfile, outside, root_image


class Recorded(outside.Outside):
    """Writes down what RUN would have run."""

    def __init__(self) -> None:
        self.ran: list[tuple[str, dict[str, str], str, str]] = []

    def run(self, root: Path, environment: Mapping[str, str], folder: str, command: Sequence[str]) -> None:
        self.ran.append((root.name, dict(environment), folder, command[-1]))


DOCKERFILE = """\
# a comment
ARG BASE=debian
ARG OTHER=$BASE-slim
FROM ${BASE} AS builder
ENV A=1 B="two words" \\
    # a comment within
    C=${A:-none}
ENV D=$C${A:-x}${NONE:-y}${A:+z}${NONE:+w}
WORKDIR /src
ARG WANTED=default
ARG UNSET
COPY one.txt code ./
RUN echo "$WANTED" \\
    && true
FROM ${BASE}
COPY --from=builder /src /opt/app
COPY one.txt /etc/renamed
COPY one.txt /etc/kept/
WORKDIR /state
VOLUME /state
USER 10001:10002
HEALTHCHECK --interval=3s CMD ["healthy"]
ENTRYPOINT ["tini", "--"]
CMD ["doctor"]
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("one.txt", "code/a.py", "code/deep/b.py", "code/deep/__pycache__/b.pyc", "code/.key", "secret.txt"):
        path = tmp_path / "project" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / "project/.dockerignore").write_text("*\n!one.txt\n!code\n**/__pycache__\n**/.*\n")
    (tmp_path / "project/Dockerfile").write_text(DOCKERFILE)
    (tmp_path / "base/etc").mkdir(parents=True)
    return tmp_path / "project"


def built(project: Path, **given: str) -> tuple[root_image.RootImage, Recorded]:
    recorded, into = Recorded(), project.parent / "stages"
    into.mkdir()
    base = project.parent / "base"
    return build_root.build(project / "Dockerfile", project, base, into, given, recorded), recorded


def test_a_build_copies_what_the_context_holds(project: Path) -> None:
    image, _ = built(project)
    files = {str(path.relative_to(image.root)) for path in image.root.rglob("*") if path.is_file()}
    assert files == {"opt/app/one.txt", "opt/app/a.py", "opt/app/deep/b.py", "etc/renamed", "etc/kept/one.txt"}
    assert not list((project.parent / "base/etc").iterdir())


def test_what_is_kept_of_a_build(project: Path) -> None:
    image, _ = built(project)
    assert (image.folder, image.volumes, image.user) == ("/state", ["/state"], "10001:10002")
    assert (image.entrypoint, image.command) == (["tini", "--"], ["doctor"])
    assert image.environment.keys() == {"PATH"}


def test_steps_see_environment_and_arguments(project: Path) -> None:
    _, recorded = built(project, WANTED="given", UNSET="given too", STRANGE="never declared")
    [(root, environment, folder, command)] = recorded.ran
    assert (root, folder) == ("builder", "/src")
    assert command.split() == ["echo", '"$WANTED"', "&&", "true"]
    assert environment.pop("PATH")
    assert environment == {
        **{"A": "1", "B": "two words", "C": "none", "D": "none1yz"},
        **{"WANTED": "given", "UNSET": "given too"},
    }


def test_what_is_not_in_the_context_cannot_be_copied(project: Path) -> None:
    (project / "Dockerfile").write_text("FROM x\nCOPY secret.txt /\n")
    with pytest.raises(dockerfile.Unreadable, match=r"secret\.txt: it is not in the build context"):
        built(project)


def test_it_is_started_as_its_user_on_a_read_only_root(project: Path, tmp_path: Path) -> None:
    image, _ = built(project)
    command = image.started(["run", "x"], state=tmp_path / "s", gates=tmp_path / "g", environment={"A": "2"})
    assert command[-4:] == ["tini", "--", "run", "x"]
    line = " ".join(command)
    assert f"--ro-bind {image.root} / " in line
    assert f"--bind {tmp_path / 's'} /state " in line
    assert "--reuid=10001 --regid=10002 --clear-groups --no-new-privs --bounding-set=-all" in line
    assert "--setenv A 2" in line
    assert image.started(state=tmp_path, gates=tmp_path)[-3:] == ["tini", "--", "doctor"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("FROM x\nADD https://example.org/x /\n", "ADD is not read"),
        ("FROM x\nRUN --mount=type=secret,id=x true\n", "RUN --mount"),
        ("FROM x\nCOPY --chmod=755 a b\n", "COPY --chmod"),
        ("FROM x\nRUN <<EOF\nEOF\n", "heredocs"),
        ("# syntax=docker/dockerfile:1\nFROM x\n", "directives"),
        ("ENV A=1\nFROM x\n", "before the first FROM"),
        ("FROM x\nRUN true \\\n", "does not end"),
    ],
    ids=["add", "mount", "chmod", "heredoc", "directive", "before-from", "unfinished"],
)
def test_what_cannot_be_read_is_refused(text: str, said: str) -> None:
    with pytest.raises(dockerfile.Unreadable, match=said):
        dockerfile.read(text)


def test_a_shell_form_is_refused_where_a_list_is_needed() -> None:
    [stage] = dockerfile.read("FROM x\nCMD doctor\n")[1]
    with pytest.raises(dockerfile.Unreadable, match="line 2: CMD needs the form"):
        stage.last("CMD").listed()


def test_folders_that_pip_looks_into_are_found(tmp_path: Path) -> None:
    (tmp_path / "index/simple").mkdir(parents=True)
    (tmp_path / "wheels").mkdir()
    values = [f"file://{tmp_path}/index/simple https://example.org/simple", f"{tmp_path}/wheels {tmp_path}/none", "180"]
    assert outside.folders_in(values) == [str(tmp_path / "index"), str(tmp_path / "wheels")]
