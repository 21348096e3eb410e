"""What can be said of a deployment without simulating it.

Each is a bound that no replication can be better than, whatever its luck, so that a search may rest
on them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench import extensions
from bench.arrivals import is_closed
from bench.profile import Profile
from bench.scenario import BatchDeployment, Deployment, Objective, Workload
from bench.simulate.demand import mean_rate, process_of
from bench.simulate.results import Usage
from bench.units import format_seconds

KINDS = "bench.simulate.kinds"


def kind_of(deployment: Deployment) -> Any:
    """The file of a deployment's kind."""
    return extensions.load(KINDS, deployment.kind.replace("_", "-"))


def least_usage(
    deployment: Deployment, profiles: Mapping[str, Profile], days: int, requests: int = 0
) -> dict[str, Usage]:
    """What each part uses at the least, if it answers ``requests`` in all.

    ``profiles``: by the name of the deployment's part.
    """
    found: dict[str, Usage] = kind_of(deployment).least_usage(deployment, profiles, days, requests)
    return found


def least_response_s(
    deployment: Deployment, profiles: Mapping[str, Profile], workload: Workload
) -> float:
    """No request is answered sooner: in a batch, none before the window opens.

    ``profiles``: by the name of the deployment's part.
    """
    quickest = float(kind_of(deployment).quickest(deployment, profiles))
    if isinstance(deployment, BatchDeployment):
        quickest += max(deployment.window.opens - workload.active.end, 0.0)
    return quickest


def why_impossible(
    deployment: Deployment,
    profiles: Mapping[str, Profile],
    workload: Workload,
    objective: Objective,
) -> str | None:
    """Why no simulation is needed, if that can be told from the means alone."""
    kind = kind_of(deployment)
    limit = float(kind.capacity(deployment, profiles, workload))
    rate = mean_rate(workload)
    if rate >= limit and not has_closed_loop(workload):
        return f"overload: {rate:.3g} requests/s arrive and at most {limit:.3g} can be served"
    if objective.response is not None:
        quickest = float(kind.quickest(deployment, profiles))
        if quickest > objective.response.limit:
            return (
                f"the limit of {format_seconds(objective.response.limit)} cannot be kept: the "
                f"quickest answer there can be takes {format_seconds(quickest)}"
            )
    return None


def has_closed_loop(workload: Workload) -> bool:
    """Whether users wait for an answer before they ask again."""
    return is_closed(process_of(workload)[0])
