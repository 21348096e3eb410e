"""What can be said of a deployment without simulating it.

Each is a bound that no replication can be better than, whatever its luck, so that a search may rest
on them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from bench.arrivals import is_closed
from bench.profile import Profile
from bench.scenario import Deployment, Objective, Workload
from bench.simulate import line
from bench.simulate.demand import expected_requests, is_counted, process_of, repeats
from bench.simulate.limits import Limit
from bench.units import DAY_S, format_seconds

LUCK = 4.0
"""Standard deviations of a number of requests that no replication is to exceed."""
HAIR = 1e-9
"""Of binary fractions."""


def least_response_s(
    deployment: Deployment, profiles: Mapping[str, Profile], workload: Workload
) -> float:
    """No request is answered sooner: in a batch, none before the window opens.

    ``profiles``: by the name of the deployment's part.
    """
    opens = line.opens(deployment)
    waits = 0.0 if opens is None else max(opens - workload.active.end, 0.0)
    return line.quickest(deployment, profiles) + waits


def why_impossible(
    deployment: Deployment,
    profiles: Mapping[str, Profile],
    workload: Workload,
    objective: Objective,
) -> str | None:
    """Why no simulation is needed, if that can be told from the means alone."""
    exceeded = overload(deployment, profiles, workload, objective)
    exceeded = exceeded or rush(deployment, profiles, workload, objective)
    if exceeded is not None:
        return exceeded
    if objective.response is not None:
        quickest = line.quickest(deployment, profiles)
        if quickest > objective.response.limit:
            return (
                f"the limit of {format_seconds(objective.response.limit)} cannot be kept: the "
                f"quickest answer there can be takes {format_seconds(quickest)}"
            )
    return None


def overload(
    deployment: Deployment,
    profiles: Mapping[str, Profile],
    workload: Workload,
    objective: Objective,
) -> str | None:
    """Why every day leaves more undone than the one before, if that can be told from the means.

    A day has all of its 24 hours to serve what comes in the active ones. Where requests may be
    turned away or give up, none is left undone; a recording ends; users of a closed loop wait; and
    the objective may allow for the share of the requests that are left.
    """
    if has_closed_loop(workload) or not repeats(workload):
        return None
    limits = line.limits(deployment, profiles, workload)
    arrive = expected_requests(workload, 1)
    allowed = 1 - _needed(objective)
    exceeded = [
        limit
        for limit in limits
        if limit.waits and limit.share > allowed and _exceeds(arrive, limit, workload)
    ]
    if not exceeded:
        return None
    least = min(exceeded, key=lambda limit: limit.per_day)
    mean = "" if workload.active.length_s == DAY_S else ", on the mean of 24 hours,"
    return (
        f"overload: {arrive / DAY_S:.3g} requests/s arrive{mean} and {least.what} at most "
        f"{least.per_day / DAY_S:.3g}"
    )


def rush(
    deployment: Deployment,
    profiles: Mapping[str, Profile],
    workload: Workload,
    objective: Objective,
) -> str | None:
    """Why too few answers can come in time, though the day has hours to work off the rest.

    What is answered within the limit is answered from the start of the active hours until the limit
    after their end.
    """
    response, active = objective.response, workload.active
    if response is None or has_closed_loop(workload) or not repeats(workload):
        return None
    arrive = expected_requests(workload, 1)
    # By chance fewer may come, and be served sooner.
    share = _needed(objective) * (1 - LUCK / math.sqrt(max(arrive, LUCK**2)))
    limits = line.limits(deployment, profiles, workload)
    for limit in sorted(limits, key=lambda limit: limit.per_day):
        in_time = limit.per_day / DAY_S * (active.length_s + response.limit)
        if limit.waits and limit.steady and limit.share == 1 and in_time < share * arrive:
            return (
                f"overload: {arrive / active.length_s:.3g} requests/s arrive in the active hours and "
                f"{limit.what} at most {limit.per_day / DAY_S:.3g}"
            )
    return None


def _needed(objective: Objective) -> float:
    """The share of the requests that must be in time."""
    if objective.response is not None:
        return objective.response.percentile / 100
    return objective.due.share if objective.due else 1.0


def _exceeds(arrive: float, limit: Limit, workload: Workload) -> bool:
    """What comes by chance cannot be served by as much as comes on average; what is counted can."""
    if is_counted(workload):
        return arrive > limit.per_day * (1 + HAIR)
    return arrive >= limit.per_day


def has_closed_loop(workload: Workload) -> bool:
    """Whether users wait for an answer before they ask again."""
    return is_closed(process_of(workload)[0])
