"""``finetune-gate github``: what the GitHub Action does, and the required check after it. Both read the environment."""

from __future__ import annotations

import os
import traceback
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from finetune_gate.evaluators.errors import ConfigurationError, FinetuneGateError, Problem

from .output import EXIT, internal_problem, print_json, print_problems

if TYPE_CHECKING:
    from finetune_gate.flows.github.settings import Inputs
    from finetune_gate.gate.run import GateResult

_RUNNERS_OWN = (
    "GITHUB_OUTPUT",
    "GITHUB_STEP_SUMMARY",
    "GITHUB_ENV",
    "GITHUB_PATH",
    "GITHUB_STATE",
    "GITHUB_TOKEN",
    "ACTIONS_RUNTIME_TOKEN",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
)
"""Files and tokens of this step that nothing which a gate loads has to know."""

json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON, besides.")


@click.group()
def github() -> None:
    """Gate within a GitHub workflow, and judge its jobs. The action in .github/actions/evaluation-gate calls this."""


@github.command()
@json_option
def gate(as_json: bool) -> None:
    """Gate a model version, here or on a Prefect worker, and tell GitHub what it came to.

    Inputs are environment variables, of which an empty one counts as not set. Each begins with FINETUNE_GATE_:

    \b
    GATE_FILE         path of the gate file, where the gate runs  [gate.yaml]
    MODEL             refuse a gate file of another model; needed with DEPLOYMENT
    VERSION           7, @alias, latest, or models:/NAME/7  [latest]
    BASE              what it was fine-tuned from, instead of the gate file's
    DRY_RUN           decide, and change nothing in the registry  [false]
    ONCE              take a decision that there is already  [false]
    OUT               folder for records and reports  [.finetune-gate]
    DEPLOYMENT        FLOW/DEPLOYMENT on Prefect to run it; none: here
    TIMEOUT_MINUTES   the longest to wait for that, in all  [360]
    START_MINUTES     the longest until a worker takes it  [30]
    COMMENT           write the comment in the pull request  [true]
    PULL_REQUEST      its number  [the event's]
    COMMENT_AUTHOR    login whose comments are ours  [the token's; else any bot's]
    SUMMARY           write the job's summary  [true]
    ANNOTATIONS       annotate rules that did not pass  [true]

    Besides them: GITHUB_TOKEN for the comment, MLFLOW_TRACKING_URI, PREFECT_API_URL with its keys, and what GitHub's
    runner sets. Outputs: decision (promote, block, hold, error), exit-status, model, version, champion-before,
    champion-after, record, report, folder, record-digest, run-binding, statement, predicate-type.

    Exit status: 0 promote, 1 block, 2 usage or configuration, 3 hold, 4 could not evaluate. What cannot be told to
    GitHub changes it only where it is the outputs.
    """
    from finetune_gate.flows.github.log_commands import one_stream

    with one_stream():
        status = _gate(dict(os.environ), as_json=as_json)
    raise click.exceptions.Exit(status)


@github.command()
@json_option
def verdict(as_json: bool) -> None:
    """Say whether a gate in another job of this workflow run really came to what is allowed.

    For the job of a required check, which runs `if: always()`. Environment variables, each with FINETUNE_GATE_ before:

    \b
    RESULT            needs.JOB.result
    DECISION          needs.JOB.outputs.decision; so MODEL, VERSION and RECORD_DIGEST
    FOLDER            where the artifact of that job lies: the whole folder
    ALLOW             what is green, with commas  [promote]
    DRY_RUN           true where the gate was to be a dry run  [false]
    VERIFY            full: decide again from the scores; record: digests alone  [full]

    Exit status: 0 a decision that is allowed, proven by a record of this version, run and attempt; 1 block, 3 hold,
    proven and not allowed; 2 usage; 4 anything else, such as a job that was skipped, cancelled or failed.
    """
    from finetune_gate.flows.github.log_commands import annotation, commands_held_off, one_stream, say
    from finetune_gate.flows.github.settings import read_verdict_inputs
    from finetune_gate.flows.github.summary import append_summary, verdict_text
    from finetune_gate.flows.github.verdict import verdict_on

    with one_stream():
        try:
            asked = read_verdict_inputs(os.environ)
        except ConfigurationError as error:
            with commands_held_off():
                print_problems(error.problems, as_json=as_json)
            raise click.exceptions.Exit(EXIT["usage"]) from None
        with commands_held_off():
            found = verdict_on(asked)
            if as_json:
                print_json({"exit_status": found.status, "decision": found.decision, "sentence": found.sentence})
        said = f"{'green' if found.status == 0 else 'red'}: {found.sentence}"
        say([annotation("notice" if found.status == 0 else "error", said, "evaluation gate")])
        if asked.runner.summary is not None:
            append_summary(asked.runner.summary, verdict_text(said))
    raise click.exceptions.Exit(found.status)


def _gate(environ: Mapping[str, str], *, as_json: bool) -> int:
    """The exit status. Raises KeyboardInterrupt only."""
    from finetune_gate.flows.github.binding import tie
    from finetune_gate.flows.github.log_commands import commands_held_off, masks, say
    from finetune_gate.flows.github.settings import read_inputs
    from finetune_gate.flows.github.telling import outputs_of, tell_decision

    inputs: Inputs | None = None
    known = masks(environ)
    say(known)
    try:
        inputs = read_inputs(environ)
        with commands_held_off(), _runner_hidden():  # a gate file may name evaluators, which are code
            variables = _key_variables(inputs)
        say(line for line in masks(environ, variables) if line not in known)
        with commands_held_off(), _runner_hidden():
            result = _gated(inputs)
            tied = tie(result.record, result.folder, inputs.runner)
        inputs = replace(inputs, model=result.record.model)
        status = EXIT[result.record.decision]
        outputs = outputs_of(result, tied, status)
        lines = tell_decision(result, outputs, inputs)
    except FinetuneGateError as error:
        return _no_decision(error.problems, error.exit_status, inputs, environ, as_json=as_json)
    except KeyboardInterrupt:
        interrupted = Problem("finetune-gate", "interrupted", way_out="run it again: it goes on where it was")
        _no_decision((interrupted,), 130, inputs, environ, as_json=as_json)
        raise
    except Exception as error:  # noqa: BLE001 - the border to the runner: every end has its outputs
        if environ.get("FINETUNE_GATE_DEBUG"):
            with commands_held_off():
                traceback.print_exc()
        status = EXIT["could not evaluate"]
        return _no_decision((internal_problem(error),), status, inputs, environ, as_json=as_json)
    _say_all(outputs, lines, as_json=as_json)
    return status


def _gated(inputs: Inputs) -> GateResult:
    """Here, as `finetune-gate run` does, or where the deployment runs. Its outcome is printed."""
    from finetune_gate.flows.expected_model import refuse_other_models
    from finetune_gate.gate.run import GateRequest

    from .run import actor, gate_as_asked, print_result, trigger

    if inputs.deployment:
        result = _gated_on_worker(inputs)
    else:
        if inputs.model:
            refuse_other_models(inputs.gate_file, inputs.model)
        request = GateRequest(
            gate_file=inputs.gate_file,
            candidate=inputs.version,
            base=inputs.base or None,
            dry_run=inputs.dry_run,
            out=inputs.out,
            trigger=trigger(),
            actor=actor(),
        )
        result = gate_as_asked(request, None, wish="once" if inputs.once else "join", quiet=False)
    print_result(result, as_json=False, verbose=False)
    return result


def _gated_on_worker(inputs: Inputs) -> GateResult:
    from finetune_gate.flows.github.deployment import gate_on_worker
    from finetune_gate.flows.relays.prefect import from_environment
    from finetune_gate.gate.registry import Registry
    from finetune_gate.gate.reports.inert import inert_text

    def say_line(line: str) -> None:
        click.echo(inert_text(line, limit=1000))

    return gate_on_worker(inputs, from_environment("github"), Registry.connect(), say=say_line)


def _no_decision(
    problems: Sequence[Problem], status: int, inputs: Inputs | None, environ: Mapping[str, str], *, as_json: bool
) -> int:
    """``status``, once it is told; 4 where the outputs cannot be written."""
    from finetune_gate.flows.github.log_commands import commands_held_off, problem_annotations
    from finetune_gate.flows.github.telling import Places, outputs_of_no_decision, tell_problems

    with commands_held_off(), _runner_hidden():
        print_problems(problems, as_json=False)
        named = _named(inputs)
    outputs = outputs_of_no_decision(status, named)
    try:
        lines = tell_problems(problems, outputs, inputs, Places.of(environ))
    except FinetuneGateError as error:
        lines, status = problem_annotations((*problems, *error.problems)), EXIT["could not evaluate"]
    _say_all(outputs, lines, as_json=as_json)
    return status


def _named(inputs: Inputs | None) -> Inputs | None:
    """With the gate file's model, where that is not given and can be read."""
    if inputs is None or inputs.model or inputs.deployment:
        return inputs
    from finetune_gate.gate.gate_file import load_gate_file

    try:
        return replace(inputs, model=load_gate_file(inputs.gate_file).file.model)
    except FinetuneGateError:
        return inputs


def _key_variables(inputs: Inputs) -> tuple[str, ...]:
    """The variables that hold keys of the gate file's APIs. What is wrong with the file is said later."""
    if inputs.deployment:
        return ()
    from finetune_gate.gate.gate_file import load_gate_file

    try:
        endpoints = load_gate_file(inputs.gate_file).file.endpoints
    except FinetuneGateError:
        return ()
    return tuple(one.key for one in endpoints.values() if one.key)


def _say_all(outputs: Mapping[str, str], lines: Sequence[str], *, as_json: bool) -> None:
    from finetune_gate.flows.github.log_commands import commands_held_off, say
    from finetune_gate.flows.github.telling import plain_outputs

    with commands_held_off():
        if as_json:
            print_json(dict(outputs))
        else:
            say(plain_outputs(outputs))
    say(lines)


@contextmanager
def _runner_hidden() -> Generator[None]:
    """Models and libraries run in this process, and start others: none of them gets the step's files and tokens."""
    before = {name: os.environ.pop(name) for name in _RUNNERS_OWN if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(before)
