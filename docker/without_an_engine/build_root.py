"""Take the steps of docker/Dockerfile without an engine, then start what was built as the image would be started.

    make image-root                            # builds it, tries it, removes it; needs about 5 GB
    python docker/without_an_engine/build_root.py --folder /var/tmp/image --keep --build-arg TORCH_INDEX=

Needs root, debootstrap and bubblewrap. The instructions are read from the Dockerfile itself. What is not as an engine
does it:

- `FROM` is Debian bookworm with its Python 3.11, made by debootstrap from the Debian mirror that this machine uses, and
  not the pinned base image.
- apt and pip within the root use this machine's settings (mirrors, certificates, folders of packages). They are handed
  in by read-only mounts and the environment of a step, and end with it; the base knows its mirror.
- The result is a folder, without layers. Docker's own confinement (seccomp, cgroups) is not there; a read-only root, an
  unprivileged user without capabilities, and a process namespace are.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Final

from dockerfile import Instruction, Stage, Unreadable, context_files, expand, read
from outside import Outside
from root_image import RootImage
from try_root import try_image

DOCKER: Final = Path(__file__).resolve().parents[1]


def debian(root: Path, outside: Outside) -> None:
    """Debian bookworm with Python, in the new folder ``root``: it stands for the base image."""
    packages = "python3,python3-venv,ca-certificates"
    command = ["debootstrap", "--variant=minbase", f"--include={packages}", "bookworm", str(root), outside.mirror()]
    _run(command)
    shutil.rmtree(root / "var/cache/apt/archives")
    (root / "var/cache/apt/archives/partial").mkdir(parents=True)


def build(
    dockerfile: Path, context: Path, base: Path, into: Path, given: Mapping[str, str], outside: Outside
) -> RootImage:
    """Every stage in a folder of its own below ``into``; the last one is the image. ``given`` as ``--build-arg``."""
    arguments, stages = read(dockerfile.read_text())
    arguments = {name: given.get(name, value) for name, value in arguments.items()}
    built: dict[str, RootImage] = {}
    image = RootImage(base)
    for number, stage in enumerate(stages):
        named = expand(stage.base, arguments)
        image = RootImage(into / (stage.name or f"stage-{number}"))
        print(f"== FROM {named}: here {'stage' if named in built else 'Debian'} {image.root.name}", flush=True)
        _run(["cp", "--archive", "--reflink=auto", str(built[named].root if named in built else base), str(image.root)])
        for one in stage.instructions:
            _take(one, image, context, dockerfile, built, arguments | dict(given), outside)
        built[stage.name or str(number)] = image
    return image


def _take(
    one: Instruction,
    image: RootImage,
    context: Path,
    dockerfile: Path,
    built: Mapping[str, RootImage],
    given: Mapping[str, str],
    outside: Outside,
) -> None:
    started = time.monotonic()
    match one.word:
        case "ARG":
            name = one.text.partition("=")[0]
            declared = one.pairs(image.variables)
            if name in given or name in declared:
                image.arguments[name] = given.get(name, declared.get(name, ""))
        case "ENV":
            image.environment |= one.pairs(image.variables)
        case "WORKDIR":
            image.folder = str(PurePosixPath(image.folder) / expand(one.text, image.variables))
            _inside(image.root, image.folder).mkdir(parents=True, exist_ok=True)
        case "USER":
            image.user = expand(one.text, image.variables)
        case "COPY":
            *sources, destination = expand(one.text, image.variables).split()
            target = str(PurePosixPath(image.folder) / destination) + "/" * destination.endswith("/")
            if "from" in one.flags:
                _copy_tree(built[one.flags["from"]].root, sources, image.root, target)
            else:
                _copy_files(context, context / ".dockerignore", sources, image.root, target)
        case "RUN":
            if image.user != "0:0":
                raise Unreadable(f"line {one.line}: RUN after USER is not done here")
            try:
                outside.run(image.root, image.variables, image.folder, ["/bin/sh", "-c", one.text])
            except subprocess.CalledProcessError as error:
                sys.exit(f"{dockerfile.name}:{one.line}: RUN ended with status {error.returncode}")
        case "ENTRYPOINT":
            image.entrypoint = one.listed()
        case "CMD":
            image.command = one.listed()
        case "VOLUME":
            image.volumes.append(one.text)
        case "HEALTHCHECK" | "LABEL":
            pass  # for an engine: nothing of it is in a root
        case _:
            raise Unreadable(f"line {one.line}: {one.word} is not done here")
    print(f"{dockerfile.name}:{one.line} {one.word} {one.text[:90]}  [{time.monotonic() - started:.1f} s]", flush=True)


def _copy_files(context: Path, ignored: Path, sources: Sequence[str], root: Path, target: str) -> None:
    """As COPY does it: a folder's content goes into the target; only what the context holds is there to be copied."""
    files = list(context_files(context, ignored.read_text()))
    for source in map(PurePosixPath, sources):
        inside = [one for one in files if one == source or source in one.parents]
        if not inside:
            raise Unreadable(f"COPY {source}: it is not in the build context; see .dockerignore")
        for one in inside:
            below = one.relative_to(source) if one != source else one.name
            whole = target if one == source and not target.endswith("/") else f"{target}/{below}"
            path = _inside(root, whole)
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(context / one, path)


def _copy_tree(from_root: Path, sources: Sequence[str], root: Path, target: str) -> None:
    for source in sources:
        path = _inside(root, target)
        path.mkdir(parents=True, exist_ok=True)
        _run(["cp", "--archive", f"{_inside(from_root, source)}/.", str(path)])


def _inside(root: Path, path: str) -> Path:
    return root / path.lstrip("/")


def _run(command: Sequence[str]) -> None:
    subprocess.run(command, check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--folder", type=Path, default=Path("/var/tmp/finetune-gate-image"))
    parser.add_argument("--keep", action="store_true", help="leave the folder; a base in it is used again")
    parser.add_argument("--tries-only", action="store_true", help="start what an earlier --keep built")
    parser.add_argument("--demo", action="store_true", help="run `finetune-gate demo` in it too: minutes")
    parser.add_argument("--build-arg", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--dockerfile", type=Path, default=DOCKER / "Dockerfile")
    wanted = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("build_root: needs root: it makes a root file system")
    if missing := [one for one in ("debootstrap", "bwrap") if shutil.which(one) is None]:
        sys.exit(f"build_root: {' and '.join(missing)} not found; apt-get install debootstrap bubblewrap")
    given: dict[str, str] = dict(str(one).split("=", 1) for one in wanted.build_arg)
    folder, context = wanted.folder.resolve(), DOCKER.parent
    base, into = folder / "base", folder / "stages"
    folder.mkdir(parents=True, exist_ok=True)
    outside = Outside(folder / "outside")
    try:
        if not (base / "etc/debian_version").exists():
            debian(base, outside)
        if not wanted.tries_only:
            shutil.rmtree(into, ignore_errors=True)
            into.mkdir()
            image = build(wanted.dockerfile, context, base, into, given, outside)
        else:
            image = _described(wanted.dockerfile, into, given)
        kib = subprocess.run(["du", "-sk", str(image.root)], check=True, capture_output=True, text=True).stdout.split()[
            0
        ]
        print(f"== built: {int(kib) / (1 << 20):.2f} GiB", flush=True)
        failed = try_image(image, folder / "state", context / "examples", demo=wanted.demo)
    finally:
        if not wanted.keep:
            shutil.rmtree(folder, ignore_errors=True)
    sys.exit(1 if failed else 0)


def _described(dockerfile: Path, into: Path, given: Mapping[str, str]) -> RootImage:
    """The image of an earlier build: its last stage without its steps."""
    arguments, stages = read(dockerfile.read_text())
    last: Stage = stages[-1]
    image = RootImage(into / (last.name or f"stage-{len(stages) - 1}"))
    for one in last.instructions:
        if one.word not in ("RUN", "COPY"):
            _take(one, image, into, dockerfile, {}, arguments | dict(given), Outside(into))
    return image


if __name__ == "__main__":
    main()
