"""Profiles of devices that are not here: kept, published, projected, or refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.at_once import simulate_only
from bench.counts import Counts
from bench.gather import from_elsewhere, load_profiles
from bench.hardware import Catalogue, Setting
from bench.measure import NETWORKS, Calibration, Cell, Work
from bench.pipeline import measure_only, run
from bench.prepare import Order, Settings, prepare
from bench.profile import Elsewhere, Profile, Refused, left_one_out
from tests.conftest import FAKE_SCENARIO
from tests.test_simulation import profile

pytestmark = pytest.mark.slow

INLINE = Settings(engine="inline")
BASE = profile({1: [0.02], 2: [0.03]}, accuracy={"error_rate": 0.0}, input_bytes=5000)
WORK = Work(
    flops=8.2e9, weight_bytes=1e8, activation_bytes=4e7, operators=100,
    kinds={"convolution": 1.0}, counts=Counts(4.1e9, 2e6, 0, 0, 0, 1.1e7, 2.5e7, 54), note="",
)  # fmt: skip


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue()


def elsewhere(
    catalogue: Catalogue, task: str = "mine", work: Any = WORK, **options: Any
) -> Elsewhere:
    def count() -> Work:
        if isinstance(work, Exception):
            raise work
        return work  # type: ignore[no-any-return]

    return Elsewhere(catalogue, task, options, count)


def on(catalogue: Catalogue, device: str, **more: Any) -> Profile:
    return elsewhere(catalogue, **more).projected("a@x", catalogue.device(device), BASE)


RESNET = {"task": "image-classification", "architecture": "resnet-50"}


def test_what_was_published_of_this_model_on_this_device_is_used(catalogue: Catalogue) -> None:
    found = on(catalogue, "nvidia-t4", work=AssertionError("counted"), **RESNET)
    assert found.origin.provenance == "published"
    assert found.origin.as_of
    rows = [
        row
        for row in catalogue.published
        if row.device == "nvidia-t4" and row.model == "resnet50" and row.software == "makers"
    ]
    latency = np.median([row.latency_s for row in rows if row.pattern == "SingleStream"])
    throughput = np.median(
        [row.per_s / row.accelerators for row in rows if row.pattern == "Offline" and row.per_s]
    )
    assert found.mean_service_s(1) == pytest.approx(latency)
    each = found.mean_service_s(33) - found.mean_service_s(32)
    assert 1 / each == pytest.approx(throughput)
    # Three T4 results in the table's own machines lie 20 % apart: one figure is not the truth.
    assert 0.1 < found.log_error < 0.3


def test_a_projection_says_so_and_is_less_certain(catalogue: Catalogue) -> None:
    published = on(catalogue, "nvidia-t4", **RESNET)
    counted = on(catalogue, "nvidia-t4")
    sheet = on(catalogue, "nvidia-a10g")
    assert counted.origin.provenance == sheet.origin.provenance == "projected"
    assert published.log_error < counted.log_error < sheet.log_error
    assert "within a factor of" in sheet.origin.source
    assert "from its data sheet" in sheet.origin.source
    assert "networks published there" in counted.origin.source
    assert sheet.accuracy == BASE.accuracy
    assert sheet.input_bytes == 5000
    assert sheet.sample_energy is not None
    assert sheet.sample_energy.origin.provenance == "projected"
    assert (sheet.weight_bytes, sheet.activation_bytes) == (1e8, 4e7)


def test_no_device_is_faster_than_its_peak(catalogue: Catalogue) -> None:
    sheet = catalogue.device("nvidia-t4").data_sheet
    assert sheet is not None
    assert sheet.int8 is not None
    heavy = WORK.model_copy(update={"counts": WORK.counts._replace(convolution=1e13)})
    found = on(catalogue, "nvidia-t4", work=heavy)
    assert found.mean_service_s(64) / 64 >= 2e13 / sheet.int8


def test_an_arm_has_the_software_that_it_names(catalogue: Catalogue) -> None:
    device = catalogue.device("nvidia-jetson-orin-nx-16gb")
    found = {
        backend: elsewhere(catalogue).projected(f"{backend}@x", device, BASE).origin.source
        for backend in ("torch-eager-cuda", "tensorrt,precision=fp16")
    }
    assert "(PyTorch, " in found["torch-eager-cuda"]
    assert "(TensorRT, " in found["tensorrt,precision=fp16"]


@pytest.mark.parametrize(
    ("device", "said"),
    [("smartphone-generic", "no time was published"), ("cloud-cpu-graviton3", "factor of two")],
)
def test_what_nothing_is_known_of_is_refused(catalogue: Catalogue, device: str, said: str) -> None:
    with pytest.raises(Refused, match=said):
        on(catalogue, device)


def test_a_model_without_products_is_refused(catalogue: Catalogue) -> None:
    trees = WORK.model_copy(update={"counts": Counts(*[0.0] * 8)})
    with pytest.raises(Refused, match="nothing in the model multiplies"):
        on(catalogue, "nvidia-t4", work=trees)


def test_a_model_that_cannot_be_counted_is_refused(catalogue: Catalogue) -> None:
    from bench.errors import MissingRequirement

    with pytest.raises(Refused, match="nothing can be projected: it needs onnx"):
        on(catalogue, "nvidia-t4", work=MissingRequirement("it needs onnx."))


SCENARIO = FAKE_SCENARIO.replace(
    "    device: this-host\n    offer: civo/standard-2c-4g/any/on-demand",
    "    device: nvidia-t4\n    offer: aws/g4dn.xlarge/us-east-1/on-demand",
)


@pytest.fixture
def with_a_gpu(tmp_path: Path) -> Path:
    path = tmp_path / "gpu.yaml"
    path.write_text(SCENARIO)
    return path


def test_a_scenario_may_name_a_device_that_is_not_here(
    with_a_gpu: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.gather.task_work", lambda name, options: WORK)
    done = run(with_a_gpu, tmp_path / "run", INLINE)
    measured, everything = (
        done.load("asked.json", Order).to_measure,
        (load_profiles(done.path)),
    )
    assert all(arm.device.here for arm in measured.arms)
    gpu = next(p for p in everything.values() if p.device == "nvidia-t4")
    assert gpu.origin.provenance == "projected"
    _, simulation, costs, comparison = simulate_only(with_a_gpu, everything, INLINE)
    entry = next(e for e in comparison.ranking if e.deployment == "cloud")
    assert entry.provenance in ("projected", "assumed")
    assert any(origin.provenance == "projected" for origin in entry.origins)
    result = next(d for d in simulation.deployments if d.deployment == "cloud")
    assert result.draws
    # us-east-1 has a PUE and an intensity, and the projection an energy: carbon is known.
    cloud = next(c for c in costs.deployments if c.deployment == "cloud")
    assert cloud.carbon_kg_per_day.value
    assert cloud.energy[0].intensity == "average"


def test_more_replications_do_not_narrow_what_a_projection_says(
    with_a_gpu: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.gather.task_work", lambda name, options: WORK)
    with_a_gpu.write_text(SCENARIO.replace("limit: 200 ms", "limit: 2 s"))
    known = load_profiles(measure_only(with_a_gpu, tmp_path / "run", INLINE)[0].path)
    widths = {}
    for replications in (6, 60):
        text = with_a_gpu.read_text()
        before = next(line for line in text.splitlines() if line.startswith("simulate:"))
        with_a_gpu.write_text(text.replace(before, f"simulate: {{replications: {replications}}}"))
        found = simulate_only(with_a_gpu, known, INLINE)[1]
        by_name = {d.deployment: d.utilisation for d in found.deployments}
        widths[replications] = {
            name: (busy.high or 0) - (busy.low or 0) for name, busy in by_name.items()
        }
    assert widths[60]["edge"] < 0.6 * widths[6]["edge"]
    assert widths[60]["cloud"] > 0.3 * widths[6]["cloud"]
    assert widths[60]["cloud"] > 0


def test_an_arm_that_is_refused_leaves_out_its_deployment_only(
    tmp_path: Path, with_a_gpu: Path
) -> None:
    text = SCENARIO.replace("nvidia-t4", "smartphone-generic")
    with_a_gpu.write_text(text)
    known = load_profiles(measure_only(with_a_gpu, tmp_path / "run", INLINE)[0].path)
    comparison = simulate_only(with_a_gpu, known, INLINE)[3]
    assert [e.deployment for e in comparison.ranking if e.feasible] == ["edge"]
    assert "no time was published" in comparison.excluded["cloud"]


def test_without_any_measurement_nothing_is_projected(with_a_gpu: Path) -> None:
    asked = prepare(with_a_gpu, INLINE)
    found, refused = from_elsewhere(asked, {}, Catalogue())
    assert not found
    assert "needs one arm that was measured" in next(iter(refused.values()))


def test_a_kept_profile_is_an_anchor_for_other_devices(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model twice as slow as its work says on one card is slower on the next of its kind too."""
    alone = on(catalogue, "nvidia-rtx-4090")
    there = on(catalogue, "nvidia-rtx-5090")
    kept = there.model_copy(
        update={
            "arm": "torch-compile@x",
            "service_s": {size: [2 * t for t in times] for size, times in there.service_s.items()},
        }
    )
    monkeypatch.setattr(
        Elsewhere, "kept", lambda self, device: {"x": kept} if device == "nvidia-rtx-5090" else {}
    )
    anchored = on(catalogue, "nvidia-rtx-4090")
    ratio = anchored.mean_service_s(64) / alone.mean_service_s(64)
    assert 1.1 < ratio < 3
    assert anchored.log_error <= alone.log_error


def test_a_model_that_is_slow_on_this_calibrated_machine_is_slow_elsewhere(
    catalogue: Catalogue,
) -> None:
    """The times of another processor stand for what `bench calibrate` saw of this one."""
    networks = [(network.name, network.input) for network in NETWORKS]
    other, asked = "intel-core-i7-12700h", catalogue.device("intel-core-i9-10940x")
    times = catalogue.timings.seconds
    (seen,) = (own for one, own in times.items() if one.device == other and one.regime == "one"
               and one.software == "pytorch")  # fmt: skip
    here = Setting(
        "this-host", "cpu", "PyTorch (torch-compile)", "fp32", "one", "exact", "bench calibrate",
        "2026-11-26",
    )  # fmt: skip
    calibrated = {here: {key: seen[key] for key in networks if key in seen}}
    found = {}
    for slow in (1, 3):
        base = BASE.model_copy(
            update={
                "arm": "torch-compile@this-host",
                "service_s": {1: [slow * seen["resnet50", 224]]},
            }
        )
        one = Elsewhere(catalogue, "mine", {}, lambda: WORK, calibrated)
        found[slow] = one.projected("torch-compile@x", asked, base).mean_service_s(1)
    assert 1.1 < found[3] / found[1] < 3.1


def test_networks_of_a_calibration_are_projected_from_each_other(catalogue: Catalogue) -> None:
    exact = [
        Cell(network=n, input=i, regime="one", batch=1, spread=0, calls=20,
             seconds=sum(catalogue.timings.networks[n, i].counts[:5]) * 1e-11)
        for n, i in ((network.name, network.input) for network in NETWORKS)
    ]  # fmt: skip
    whole = Calibration(
        device="this-host", runtime="onnxruntime-cpu", version="1", precision="fp32",
        as_of="2026-11-26", threads=2, cells=exact, skipped={}, environment={},
    )  # fmt: skip
    off = left_one_out(catalogue, whole)
    assert off is not None
    assert off < 0.2
    assert left_one_out(catalogue, whole.model_copy(update={"cells": exact[:3]})) is None
