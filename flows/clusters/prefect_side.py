"""A shard as a Prefect task run: what Prefect is told, and what of this process travels with it."""

from __future__ import annotations

from contextvars import Context
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from finetune_gate.evaluators.errors import ConfigurationError, Problem

from .shard_task import answer_shard

if TYPE_CHECKING:
    from prefect import Task


def shard_task(model: str) -> Task[..., Any]:
    """No cache and no persisted result: answers come back through the cluster and are never written by Prefect, which
    would pickle them. No retries: what fails in a model fails again, and lost workers are made good by the cluster."""
    from prefect import Task
    from prefect.cache_policies import NO_CACHE

    return Task(
        answer_shard,
        name="answer_shard",
        task_run_name="answer " + model.replace("{", "{{").replace("}", "}}"),  # Prefect formats it
        cache_policy=NO_CACHE,
        persist_result=False,
        log_prints=False,
        retries=0,
    )


def shard_context() -> Context:
    """What shards are submitted in: this flow run, and Prefect's settings with the address of its API.

    Not the context of the step that submits them. Prefect pickles that for every task, and the step holds the whole
    run: its registry, its requests, and locks that cannot be pickled. Not the flow itself either, which on a deployment
    is loaded under a name that no worker can import. The address is that of the server which lives as long as this
    process, where none is configured: every worker would else start one.

    Raises ConfigurationError outside a flow run.
    """
    from prefect import Flow
    from prefect.client.orchestration import get_client
    from prefect.context import FlowRunContext, SettingsContext, get_settings_context
    from prefect.settings import PREFECT_API_URL

    here = FlowRunContext.get()
    if here is None or here.flow is None:
        raise ConfigurationError(
            Problem(
                "execution.runner",
                "a cluster is reached through Prefect, and this is no Prefect flow run",
                way_out="run it with --prefect, or from a Prefect deployment",
            )
        )
    settings = get_settings_context()
    there = settings.settings.copy_with_update(updates={PREFECT_API_URL: str(get_client(sync_client=True).api_url)})
    run = here.model_copy(update={"flow": Flow(_no_flow, name=here.flow.name), "parameters": {}})

    context = Context()
    context.run(SettingsContext(profile=settings.profile, settings=there).__enter__)
    context.run(run.__enter__)
    return context


def _no_flow() -> None:
    """Stands for the flow on workers, which need its name only."""


def refuse_hidden_api(cluster: str) -> None:
    """Raise ConfigurationError where workers elsewhere would look for Prefect's API on their own machine."""
    from prefect.settings import PREFECT_API_URL

    api = PREFECT_API_URL.value()
    if not _elsewhere(cluster) or (api and _elsewhere(api)):
        return
    raise ConfigurationError(
        Problem(
            f"execution.cluster: {cluster}",
            f"its workers cannot reach Prefect's API, which is {api or 'a temporary one on this machine'}",
            "a Prefect server that all machines reach",
            "set PREFECT_API_URL to it",
        )
    )


def _elsewhere(address: str) -> bool:
    host = urlsplit(address).hostname
    if host is None or host == "localhost":
        return False
    try:
        return not ip_address(host).is_loopback
    except ValueError:
        return True
