"""How fast one server is at its best."""

from __future__ import annotations

from bench.profile import Profile
from bench.scenario import AnyPart, EdgePart, Workload
from bench.simulate import cloud
from bench.simulate.kinds import edge


def server_rate(part: AnyPart, profile: Profile, workload: Workload) -> float:
    """Requests/s of one server, or one device, that always finds the batch it likes best."""
    if isinstance(part, EdgePart):
        return edge.device_rate(part, profile, workload)
    return cloud.best_rate(part, profile)
