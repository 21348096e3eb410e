"""The memory of accelerators: what cannot fit is refused, what may not fit is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.at_once import simulate_only
from bench.compare.capacity import misfit
from bench.compare.device_memory import may_be_short
from bench.executor import Inline
from bench.gather import load_profiles, runs_of
from bench.hardware import Catalogue
from bench.pipeline import measure_only
from bench.plan import candidates, search
from bench.prepare import Settings, prepare
from bench.profile import Profile
from bench.record import Origin
from bench.scenario import RealTimePart
from tests.conftest import FAKE_SCENARIO
from tests.test_elsewhere import WORK
from tests.test_simulation import profile

CATALOGUE = Catalogue(Path(__file__).parents[1] / "hardware_profiles")
T4 = "aws/g4dn.xlarge/us-east-1/on-demand"
ORIN = "edge/jetson-orin-nano-super"
PROJECTED = Origin(subject="times", provenance="projected", source="a table")


def known(**changes: Any) -> Profile:
    fields = {"origin": PROJECTED, "weight_bytes": 1e9, "activation_bytes": 1e7, "memory_bytes": 1}
    return profile({1: [0.01], 64: [0.1]}, **(fields | changes))


def part(offer: str, per_node: int = 1, batch: int = 1) -> RealTimePart:
    batching = {"name": "greedy", "max_batch": batch} if batch > 1 else {"name": "none"}
    return RealTimePart.model_validate(
        {
            "backend": {"name": "fake"}, "device": "d", "offer": offer, "per_node": per_node,
            "batching": batching, "scaling": {"name": "fixed", "replicas": 1},
            "start_up": {"node": 0.0}, "network": {"uplink": 1e6, "downlink": 1e6, "rtt": 0.0},
        }
    )  # fmt: skip


def refused(offer: str, device: str, per_node: int = 1, **changes: Any) -> str | None:
    asked = part(offer, per_node)
    return misfit(asked, known(**changes), CATALOGUE.offer(offer), CATALOGUE.device(device))


def doubted(offer: str, device: str, batch: int = 1, **changes: Any) -> str | None:
    asked = part(offer, batch=batch)
    return may_be_short(asked, known(**changes), CATALOGUE.offer(offer), CATALOGUE.device(device))


@pytest.mark.parametrize(
    ("offer", "device", "changes", "fits"),
    [
        (T4, "nvidia-t4", {"weight_bytes": 16e9}, True),
        (T4, "nvidia-t4", {"weight_bytes": 16.1e9}, False),
        (ORIN, "nvidia-jetson-orin-nano-super", {"weight_bytes": 8.1e9}, False),
        # Eight accelerators: each replica has one, and its memory is not that of all.
        ("on-premise/hgx-h100-8", "nvidia-h100-sxm", {"weight_bytes": 79e9, "per_node": 8}, True),
        ("on-premise/hgx-h100-8", "nvidia-h100-sxm", {"weight_bytes": 81e9, "per_node": 8}, False),
        # Nobody has counted the weights, or they ran there.
        (T4, "nvidia-t4", {"weight_bytes": None}, True),
        (T4, "nvidia-t4", {"weight_bytes": 90e9, "provenance": "published"}, True),
        # The processor of the machine computes, in the memory of the host.
        ("on-premise/server-l4-1", "this-host", {"weight_bytes": 90e9}, True),
        # Its sheet has no memory.
        ("edge/raspberry-pi-5-hailo-8", "raspberry-pi-5-hailo-8", {"weight_bytes": 7e9}, True),
    ],
)
def test_weights_that_the_data_sheet_has_no_room_for(
    offer: str, device: str, changes: dict[str, Any], fits: bool
) -> None:
    provenance = changes.pop("provenance", "projected")
    origin = PROJECTED.model_copy(update={"provenance": provenance})
    reason = refused(offer, device, origin=origin, **changes)
    assert (reason is None) is fits, reason


def test_a_misfit_is_one_sentence() -> None:
    assert refused(T4, "nvidia-t4", weight_bytes=20e9) == (
        "the weights alone, as they are stored, take 20 GB, and the data sheet of nvidia-t4 says 16 GB"
    )


def test_replicas_that_share_an_accelerator_have_their_own_copies() -> None:
    two = refused(T4, "nvidia-t4", per_node=2, weight_bytes=9e9)
    assert two is not None
    assert "take 18 GB for 2 replicas" in two


@pytest.mark.parametrize(
    ("batch", "activation_bytes", "fits"),
    [(1, 9e9, True), (64, 0.2e9, True), (64, 0.21e9, False), (1, 13.1e9, False)],
)
def test_what_lies_beside_the_weights_is_a_caveat(
    batch: int, activation_bytes: float, fits: bool
) -> None:
    """2 GB of weights and 1 GB for the runtime leave 13 GB of 16."""
    said = doubted(T4, "nvidia-t4", batch, weight_bytes=2e9, activation_bytes=activation_bytes)
    assert (said is None) is fits, said
    assert said is None or f"a batch of {batch} writes" in said


def test_the_program_lies_in_the_memory_of_a_system_on_a_chip() -> None:
    large = {"weight_bytes": 3e9, "activation_bytes": 1e9, "memory_bytes": 4_000_000_000}
    said = doubted(ORIN, "nvidia-jetson-orin-nano-super", **large)
    assert said is not None
    assert "8 GB of memory, and up to 9 GB may be needed" in said
    assert doubted(T4, "nvidia-t4", **large) is None  # there it lies in the host's
    assert doubted(ORIN, "nvidia-jetson-orin-nano-super", **large | {"memory_bytes": 1}) is None


GPU = FAKE_SCENARIO.replace(
    "    device: this-host\n    offer: civo/standard-2c-4g/any/on-demand",
    "    device: nvidia-t4\n    offer: aws/g4dn.xlarge/us-east-1/on-demand",
)


@pytest.mark.slow
@pytest.mark.parametrize(("weight_bytes", "holds"), [(20e9, False), (15.5e9, True)])
def test_comparison_and_plan_refuse_and_say_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weight_bytes: float, holds: bool
) -> None:
    settings = Settings(engine="inline")
    large = WORK.model_copy(update={"weight_bytes": weight_bytes})
    monkeypatch.setattr("bench.gather.task_work", lambda name, options: large)
    path = tmp_path / "gpu.yaml"
    path.write_text(GPU)
    profiles = load_profiles(measure_only(path, tmp_path / "run", settings)[0].path)
    _, _, _, comparison = simulate_only(path, profiles, settings)
    cloud = next(entry for entry in comparison.ranking if entry.deployment == "cloud")
    assert any("the weights alone" in reason for reason in cloud.reasons) is not holds
    said = [caveat for caveat in cloud.caveats if caveat.kind == "accelerator-memory"]
    assert bool(said) is holds
    path.write_text(FAKE_SCENARIO + f'plan: {{offers: ["{T4}"], nodes: [1]}}\n')
    asked = prepare(path, settings)
    runs, everywhere, _ = runs_of(asked, profiles, CATALOGUE)
    found = search(asked, list(candidates(asked, runs, everywhere)), everywhere, 1, Inline())
    assert any("the weights alone" in reason for reason in found.dismissed) is not holds
