"""Whether the memory of an accelerator holds the model that is to run on it.

Nothing is said where its data sheet has no memory, or where the bytes of the model were not counted:
what was measured on a device, or published of it, has run there.
"""

from __future__ import annotations

import math

from bench.hardware import Device, Offer
from bench.profile import Profile
from bench.scenario import Part
from bench.simulate import largest_batch

RUNTIME_BYTES = 1e9
"""What a runtime takes beside the tensors, for its context, its kernels and their workspace. A round
number and a choice: either takes some hundred megabytes of a GPU."""


def too_large(part: Part, profile: Profile, offer: Offer, device: Device) -> str | None:
    """Why not even the weights fit, which is certain; ``device``: an accelerator of the offer."""
    memory, copies = _memory_bytes(profile, offer, device), _copies(part, offer)
    if memory is None or profile.weight_bytes is None or profile.weight_bytes * copies <= memory:
        return None
    shared = f" for {copies} replicas" if copies > 1 else ""
    return (
        f"the weights alone, as they are stored, take {profile.weight_bytes * copies / 1e9:.3g} GB"
        f"{shared}, and the data sheet of {device.name} says {memory / 1e9:g} GB"
    )


def may_be_short(part: Part, profile: Profile, offer: Offer, device: Device) -> str | None:
    """What may not fit: the weights do, but not all that may lie beside them.

    An upper bound, weights + largest batch × all that a sample writes + :data:`RUNTIME_BYTES`:
    runtimes use memory again. A system on a chip has one memory, and the program lies in it too.
    """
    memory, copies = _memory_bytes(profile, offer, device), _copies(part, offer)
    if memory is None or profile.weight_bytes is None or profile.activation_bytes is None:
        return None
    batch = largest_batch(part.batching)
    activations = batch * profile.activation_bytes
    program = float(profile.memory_bytes) if device.kind == "soc" else 0.0
    most = copies * (profile.weight_bytes + activations + RUNTIME_BYTES + program)
    if most <= memory:
        return None
    beside = f", the program {program / 1e9:.2g} GB" if program else ""
    return (
        f"{device.name} has {memory / 1e9:g} GB of memory, and up to {most / 1e9:.3g} GB may be "
        f"needed (weights {profile.weight_bytes / 1e9:.3g} GB, all that a batch of {batch} writes "
        f"{activations / 1e9:.3g} GB{beside}, the runtime about {RUNTIME_BYTES / 1e9:g} GB"
        f"{f'; {copies} replicas' if copies > 1 else ''}): measure it there, or take smaller batches"
    )


def _memory_bytes(profile: Profile, offer: Offer, device: Device) -> float | None:
    """Of one accelerator of the machine, where nobody has seen the model run on it.

    A device that only stands for that of the machine may have another memory.
    """
    if profile.origin.provenance != "projected" or offer.machine.device != device.name:
        return None
    return device.data_sheet.memory if device.data_sheet else None


def _copies(part: Part, offer: Offer) -> int:
    """Replicas that share an accelerator each have a copy of their own."""
    return math.ceil(part.per_node / max(offer.machine.accelerators, 1))
