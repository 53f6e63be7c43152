"""Shards answered by the workers of a Dask or Ray cluster, as Prefect tasks.

walk(request, via=..., run_on=on_cluster)      # inside a Prefect flow run
"""

from .on_cluster import on_cluster, refuse_unusable

__all__ = ["on_cluster", "refuse_unusable"]
