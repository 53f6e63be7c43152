"""``finetune-gate rate``: show people pairs of answers without saying whose they are, and keep what they say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from finetune_gate.evaluators.errors import ConfigurationError, EvaluationError, Problem

from .options import gate_file_argument, tracking_uri_option, version_option
from .output import EXIT, print_json, print_problems
from .progress import shown_progress

if TYPE_CHECKING:
    from finetune_gate.evaluators.people.sheet import Sheet
    from finetune_gate.gate.rating import Desk, Filled, RatingsFile
    from finetune_gate.gate.rating.gathering import ToRate

SHEETS = (".html", ".csv", ".json")
FILLED = (".csv", ".tsv", ".json")
MAX_BYTES = 256 << 20
MAX_PROBLEMS = 40


@dataclass(frozen=True, slots=True)
class _Asked:
    """The part of the command line that says what to do with the pairs, and how to say so."""

    rater: str | None
    sheet: Path | None
    read: tuple[Path, ...]
    port: int
    open_page: bool
    hours: float
    force: bool
    as_json: bool


@click.command()
@gate_file_argument
@version_option("Version whose answers are shown")
@click.option("--rater", metavar="NAME", help="Who rates: letters, digits, spaces, and . _ - @; goes into the ratings.")
@click.option("--evaluator", metavar="TITLE", help="Which human evaluator, where the gate file has several.")
@click.option("--sheet", type=click.Path(path_type=Path), help="Write a blind sheet instead: .html, .csv or .json.")
@click.option(
    "--read",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Read a filled sheet instead: .csv, .tsv or .json. May be given several times.",
)
@click.option("--port", type=click.IntRange(0, 65535), default=0, show_default="any", help="Port of the page.")
@click.option("--open", "open_page", is_flag=True, help="Open the page in the browser.")
@click.option(
    "--hours",
    type=click.FloatRange(min=0, min_open=True, max=24 * 7),
    default=8.0,
    show_default=True,
    help="End after so long without a rating.",
)
@click.option("--force", is_flag=True, help="Replace the file that --sheet names.")
@click.option("--base", help="What the candidate was fine-tuned from, instead of the gate file's.")
@tracking_uri_option
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
def rate(
    gate_file: Path,
    candidate: str,
    evaluator: str | None,
    base: str | None,
    tracking_uri: str | None,
    quiet: bool,
    **asked: object,
) -> None:
    """Rate the answers of CANDIDATE beside those of its baseline.

    Serves a page on this machine, on which one rater sees pairs of answers and never whose they are. Every rating is
    kept at once, in the file that `ratings` of the gate file's human evaluator names. Ctrl-C ends; the same command
    goes on where the rater was. With --sheet and --read, rating happens elsewhere.

    Exit status: 0 done, 2 usage or configuration, or faults in a sheet that was read; 4 no pairs could be made.
    """
    from finetune_gate.gate.gate_file import load_data, load_gate_file

    wanted = _Asked(**asked)  # pyright: ignore[reportArgumentType] - click has checked the types
    _refuse_unusable(wanted)
    gate = load_gate_file(gate_file)

    from finetune_gate.gate.rating.gathering import gather, human_of, ratings_file_of
    from finetune_gate.gate.run import GateRequest

    file = ratings_file_of(gate, human_of(gate, evaluator))
    load_data(gate)  # before anything heavy is imported
    filled = {path: _filled(path) for path in wanted.read}
    request = GateRequest(
        gate_file=gate_file, candidate=candidate, base=base, tracking_uri=tracking_uri, trigger="rate"
    )
    with shown_progress(quiet or wanted.as_json) as progress:
        found = gather(request, evaluator, progress)
    if not found.pairs:
        way_out = "`finetune-gate run` says of every example why it has no answer"
        raise EvaluationError(Problem("rate", "there is no example that both models answered", way_out=way_out))
    if wanted.read:
        _read(filled, found, file, wanted)
        return
    desk = _desk(found, file, wanted.rater or "")
    if wanted.sheet:
        _write(wanted.sheet, desk, as_json=wanted.as_json)
    else:
        _serve(desk, wanted)


def _refuse_unusable(asked: _Asked) -> None:
    from finetune_gate.evaluators.people.ratings import rater_problem

    problems: list[Problem] = []
    if asked.sheet and asked.read:
        problems.append(Problem("command line", "--sheet and --read at once", "one or the other"))
    if asked.rater is None and not asked.read:
        problems.append(Problem("command line", "nobody is named who rates", "--rater NAME"))
    problem = rater_problem(asked.rater) if asked.rater is not None else None
    if problem is not None:
        problems.append(Problem("--rater", repr(asked.rater)[:100], problem))
    if asked.sheet and asked.sheet.suffix.lower() not in SHEETS:
        problems.append(Problem("--sheet", f"{asked.sheet}: no such kind of sheet", f"one of {', '.join(SHEETS)}"))
    elif asked.sheet and asked.sheet.exists() and not asked.force:
        way_out = "another name, or --force to replace it"
        problems.append(Problem("--sheet", f"{asked.sheet} exists, and may be filled in", way_out=way_out))
    for path in asked.read:
        if path.suffix.lower() not in FILLED:
            problems.append(Problem("--read", f"{path}: no such kind of sheet", f"one of {', '.join(FILLED)}"))
    if problems:
        raise ConfigurationError(*problems)


def _desk(found: ToRate, file: RatingsFile, rater: str) -> Desk:
    """Raises ConfigurationError where the evaluator would not read one more rater."""
    from finetune_gate.gate.rating import Desk

    raters = {rating.rater for rating in file.read()}
    if rater not in raters and len(raters) >= found.human.raters:
        expected = f"one of them: {', '.join(sorted(raters))}"
        way_out = f"`raters: {len(raters) + 1}` in the gate file, under {found.human.title}"
        raise ConfigurationError(
            Problem(f"rater {rater!r}", f"{len(raters)} people have rated already", expected, way_out)
        )
    return Desk(found.sheet(rater), file)


# serving


def _serve(desk: Desk, asked: _Asked) -> None:
    from finetune_gate.flows.rating import serve

    if not desk.sheet.items:
        _print_result(desk, as_json=asked.as_json)
        return

    def ready(address: str) -> None:
        for line in (
            f"Rater    {desk.sheet.rater}: {desk.count()}",
            f"Page     {address}",
            f"Ratings  {desk.file.path}",
            "Ctrl-C ends. Every rating is kept as it comes; the same command goes on where this one was.",
        ):
            click.echo(line, err=asked.as_json)
        if asked.open_page:
            import webbrowser

            webbrowser.open(address)

    try:
        serve(desk, port=asked.port, idle_seconds=3600 * asked.hours, ready=ready)
        click.echo(f"\nNothing was sent for {asked.hours:g} hours.", err=asked.as_json)
    except KeyboardInterrupt:
        click.echo("", err=asked.as_json)
    _print_result(desk, as_json=asked.as_json)


def _print_result(desk: Desk, *, as_json: bool) -> None:
    count = desk.count()
    if as_json:
        print_json({"rater": desk.sheet.rater, **asdict(count), "ratings": str(desk.file.path)})
    elif not count.total:
        click.echo("Both models gave the same answers: there is nothing to rate, and every pair is a tie.")
    else:
        click.echo(f"{desk.sheet.rater}: {count}. Ratings are in {desk.file.path}")


# sheets


def _write(path: Path, desk: Desk, *, as_json: bool) -> None:
    """What is not rated completely yet."""
    from finetune_gate.gate.record import write_bytes_atomically

    sheet = desk.left()
    write_bytes_atomically(path, _content(path, sheet))
    if as_json:
        count = {"pairs": len(sheet.items), **asdict(desk.count())}
        print_json({"sheet": str(path), "rater": sheet.rater, **count})
        return
    click.echo(f"{path}: {len(sheet.items)} pairs for {sheet.rater} ({desk.count()} so far)")
    what = "the downloaded ratings" if path.suffix.lower() == ".html" else "the filled sheet"
    click.echo(f"Read {what} with the same command and --read FILE instead of --sheet.")


def _content(path: Path, sheet: Sheet) -> bytes:
    from finetune_gate.gate.rating import write_csv, write_json

    match path.suffix.lower():
        case ".csv":
            return write_csv(sheet)
        case ".json":
            return write_json(sheet)
        case _:
            from finetune_gate.flows.rating import rating_page

            return rating_page(sheet).encode()


def _filled(path: Path) -> Filled:
    from finetune_gate.gate.rating import read_csv, read_json

    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConfigurationError(Problem(str(path), f"larger than {MAX_BYTES >> 20} MiB", "a filled sheet"))
        content = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(Problem(str(path), error.strerror or str(error), "a filled sheet")) from None
    return (read_json if path.suffix.lower() == ".json" else read_csv)(content, str(path))


def _read(filled: dict[Path, Filled], found: ToRate, file: RatingsFile, asked: _Asked) -> None:
    """Keep what is good, then tell every fault."""
    from finetune_gate.evaluators.people.ratings import rater_problem
    from finetune_gate.gate.rating import accept, by_rater

    rows = [row for one in filled.values() for row in one.rows]
    problems = [problem for one in filled.values() for problem in one.problems]
    raters, unnamed = by_rater(rows, asked.rater)
    problems += unnamed
    results: list[dict[str, object]] = []
    for rater, theirs in raters.items():
        wrong = rater_problem(rater)
        if wrong is not None:
            problems.append(Problem(theirs[0].place, f"rater {rater[:80]!r}", wrong))
            continue
        try:
            desk = _desk(found, file, rater)
        except ConfigurationError as error:
            problems += error.problems
            continue
        accepted = accept(theirs, desk.sheet)
        desk.keep(accepted.said)
        problems += accepted.problems
        count = desk.count()
        results.append({"rater": rater, "kept": len(accepted.said), "empty": accepted.empty, **asdict(count)})
        if not asked.as_json:
            click.echo(f"{rater}: {len(accepted.said)} ratings kept, {accepted.empty} rows empty; now {count}")
    _print_read(results, problems, file, as_json=asked.as_json)
    if problems:
        raise click.exceptions.Exit(EXIT["usage"])


def _print_read(results: Sequence[object], problems: list[Problem], file: RatingsFile, *, as_json: bool) -> None:
    more = len(problems) - MAX_PROBLEMS
    shown = problems[:MAX_PROBLEMS]
    if more > 0:
        shown.append(Problem("sheets", f"{more} more faults"))
    if as_json:
        print_json({"raters": results, "ratings": str(file.path), "errors": [asdict(problem) for problem in shown]})
        return
    click.echo(f"Ratings are in {file.path}")
    if shown:
        print_problems(shown, as_json=False)
