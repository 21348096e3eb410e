"""What a rented machine draws: at rest as long as it is held, and beyond that for each request.

Only figures of whole machines count. What a sensor sees of a chip or a board is a part of them, and
would stand beside bought machines that are known at the wall.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.cost.held import Held
from bench.hardware import RentedOffer
from bench.measure import PowerReading
from bench.profile import Profile
from bench.record import Origin


@dataclass(frozen=True)
class Draw:
    """Of one machine, at the wall."""

    joules: float
    """Of a request, of a machine that did nothing else while this was metered."""
    seconds: float
    """So long the machine took for it then."""
    rest_w: float | None
    """Of a machine that is held and does nothing; ``None`` where no source says it."""
    origins: list[Origin]

    @property
    def beyond_rest_j(self) -> float:
        """Of a request, less what the same time at rest takes."""
        return max(self.joules - (self.rest_w or 0.0) * self.seconds, 0.0)


def draw_of(held: Held, machine: RentedOffer) -> Draw | None:
    """As a meter at the plug saw it, or as published; ``None`` where no one says what a request takes."""
    found = _metered(held, machine) or _published(held, machine)
    if found is None or found.rest_w is not None or machine.idle is None:
        return found
    origin = machine.idle.origin(f"power at rest of {held.offer.name}")
    return Draw(found.joules, found.seconds, machine.idle.draw, [*found.origins, origin])


def _metered(held: Held, machine: RentedOffer) -> Draw | None:
    """The means over all windows in which the profile's whole machine was metered."""
    profile = held.profile
    read = [one for one in profile.power if one.scope == "system" and one.energy_j.value]
    served = sum(one.inferences or 0 for one in read)
    if not served:
        return None
    return Draw(
        sum(one.energy_j.value or 0.0 for one in read) / served,
        sum(one.window_s or 0.0 for one in read) / served,
        _rest_w(read),
        [_meter(profile, read[0], profile.device == machine.device)],
    )


def _rest_w(read: Sequence[PowerReading]) -> float | None:
    known = [one.idle_w.value for one in read if one.idle_w.value is not None]
    return sum(known) / len(known) if known else None


def _meter(profile: Profile, one: PowerReading, same: bool) -> Origin:
    """``same``: whether the machine is the device that was metered; others are taken to be alike."""
    source = f"{one.sensor}, of the machine that {profile.arm} was measured on"
    return Origin(
        subject=f"power of {profile.arm}",
        provenance="measured" if same else "assumed",
        source=source if same else f"{source}; this one is taken to draw as much",
        as_of=profile.origin.as_of,
    )


def _published(held: Held, machine: RentedOffer) -> Draw | None:
    """Of a machine in which every accelerator is busy with the batches it likes best."""
    sample, profile = held.profile.sample_energy, held.profile
    if sample is None:
        return None
    each = min(profile.mean_service_s(size) / size for size in profile.service_s)
    return Draw(sample.joules, each / max(machine.accelerators, 1), None, [sample.origin])
