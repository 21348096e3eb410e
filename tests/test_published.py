"""The table of published results says what its makers printed, and is read by its own rules."""

from __future__ import annotations

import csv
import re
from collections import Counter, defaultdict
from pathlib import Path
from statistics import median

import pytest

from bench.counts import NOTHING
from bench.errors import InputError
from bench.hardware import Catalogue, PublishedResult, RentedOffer
from bench.hardware.published import SAMPLES_A_QUERY, read_results
from bench.profile.projection import Projector, Subject

ORIN_MAXN = "nvidia_orin_64k_default_jetpack-nvidia_original-gpu-tensorrt-vdefault-default_config"
G4DN = "aws_g4dn.xlarge-{}-default_config"
TENSORRT = G4DN.format("nvidia_original-gpu-tensorrt-vdefault")
ONNX_GPU = G4DN.format("reference-gpu-onnxruntime-v1.15.1")
ONNX_CPU = G4DN.format("reference-cpu-onnxruntime-v1.15.1")
G2 = "gcp_g2.standard.4-nvidia_original-gpu-tensorrt-vdefault-default_config"
PI = "rpi4-armnn-v22.05-neon"


@pytest.fixture(scope="module")
def results() -> list[PublishedResult]:
    return Catalogue().published


def one(
    results: list[PublishedResult], round_: str, submitter: str, platform: str, pattern: str
) -> PublishedResult:
    """The one ResNet-50 result of a system."""
    (found,) = (
        r for r in results
        if (r.round, r.submitter, r.platform, r.pattern) == (round_, submitter, platform, pattern)
        and r.model == "resnet50"
    )  # fmt: skip
    return found


# --- what was printed ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("round_", "submitter", "platform", "single_ms", "multi_ms", "per_s", "watts"),
    [
        ("v3.1", "NVIDIA", "Orin_TRT_MaxQ", "1.636", "4.71", "3526", "23.6"),
        ("v3.1", "NVIDIA", "Orin_NX_TRT", "1.082", "5.11", "2641", None),
        ("v3.1", "NVIDIA", "Orin_NX_TRT_MaxQ", "1.419", "8.34", "1682", "14.9"),
        ("v3.1", "CTuning", ORIN_MAXN, "0.644", "2.62", "6342", "68.7"),
        ("v2.1", "Krai", PI, "332", "2760", "3.12", "5.81"),
        ("v3.1", "Dell", "XR5610_L4x1_TRT_MaxQ", "0.333", "0.842", "12433", "335"),
        ("v3.1", "CTuning", TENSORRT, None, "2.60", "6050", None),
        ("v3.1", "CTuning", ONNX_GPU, None, None, "528", None),
        ("v3.1", "CTuning", ONNX_CPU, None, None, "27.9", None),
        ("v3.1", "CTuning", G2, None, None, "12558", None),
    ],
)
def test_known_results(
    results: list[PublishedResult],
    round_: str, submitter: str, platform: str,
    single_ms: str | None, multi_ms: str | None, per_s: str, watts: str | None,
) -> None:  # fmt: skip
    """To every digit that is given; half of the last one is what rounding may have taken."""

    def same(value: float | None, printed: str | None) -> None:
        if printed is not None:
            _, _, digits = printed.partition(".")
            assert value is not None
            # Halves are rounded up in print (12,432.5 is 12,433), and to even in Python.
            assert abs(value - float(printed)) <= 0.5 * 10.0 ** -len(digits) + 1e-9

    def seconds(pattern: str) -> float:
        latency = one(results, round_, submitter, platform, pattern).latency_s
        assert latency is not None
        return latency

    if single_ms is not None:
        same(seconds("SingleStream") * 1e3, single_ms)
    if multi_ms is not None:
        same(seconds("MultiStream") * 1e3, multi_ms)
    offline = one(results, round_, submitter, platform, "Offline")
    same(offline.per_s, per_s)
    same(offline.power_w, watts)
    if watts is None:
        assert offline.power_w is None
        assert offline.energy_per_sample_j is None


@pytest.mark.parametrize(("platform", "per_s"), [(TENSORRT, 4604), (G2, 11704)])
def test_known_server_rates(results: list[PublishedResult], platform: str, per_s: int) -> None:
    server = one(results, "v3.1", "CTuning", platform, "Server")
    assert server.per_s is not None
    assert round(server.per_s) == per_s
    assert server.latency_s is None, "a bound is not a latency"


# --- energy --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("round_", "submitter", "platform", "pattern", "millijoules", "watts", "of_offline"),
    [
        # Between two single queries the system waits: less than half of its power under full load.
        ("v3.1", "NVIDIA", "Orin_TRT_MaxQ", "SingleStream", 20.1, 12.3, 0.52),
        ("v3.1", "NVIDIA", "Orin_TRT_MaxQ", "MultiStream", 77.8, 16.5, 0.70),
        ("v3.1", "NVIDIA", "Orin_NX_TRT_MaxQ", "SingleStream", 19.4, 13.6, 0.91),
        ("v3.1", "CTuning", ORIN_MAXN, "SingleStream", 26.8, 41.6, 0.61),
        ("v3.1", "Dell", "XR5610_L4x1_TRT_MaxQ", "SingleStream", 107.4, 322.5, 0.96),
        ("v2.1", "Krai", PI, "SingleStream", 1860.8, 5.60, 0.96),
        ("v2.1", "Krai", PI, "MultiStream", 14886.7, 5.39, 0.93),
    ],
)
def test_energy_over_latency_is_a_power_of_the_same_system(
    results: list[PublishedResult],
    round_: str, submitter: str, platform: str, pattern: str,
    millijoules: float, watts: float, of_offline: float,
) -> None:  # fmt: skip
    stream = one(results, round_, submitter, platform, pattern)
    offline = one(results, round_, submitter, platform, "Offline")
    assert stream.energy_j is not None
    assert stream.latency_s is not None
    assert offline.power_w is not None
    power = stream.energy_j / stream.latency_s
    assert stream.energy_j * 1e3 == pytest.approx(millijoules, abs=0.05)
    assert power == pytest.approx(watts, rel=0.005)
    assert power / offline.power_w == pytest.approx(of_offline, abs=0.01)
    assert stream.energy_per_sample_j == stream.energy_j / SAMPLES_A_QUERY[pattern]


def test_energy_per_sample(results: list[PublishedResult]) -> None:
    """A query of MultiStream has eight samples: per sample it is the cheapest way but Offline."""
    by_pattern = {
        pattern: one(results, "v3.1", "NVIDIA", "Orin_TRT_MaxQ", pattern).energy_per_sample_j
        for pattern in ("SingleStream", "MultiStream", "Offline")
    }
    assert by_pattern == pytest.approx(
        {"SingleStream": 20.116e-3, "MultiStream": 77.827e-3 / 8, "Offline": 23.5669 / 3526.29},
        rel=1e-3,
    )


def test_no_stream_draws_much_more_than_the_same_system_offline(
    results: list[PublishedResult],
) -> None:
    """Over the whole table, so that a wrong unit, or eight samples taken for one, would show.

    Mean energy ÷ latency at a high percentile is a low estimate of the power, so a ratio near one is
    full load. SingleStream reaches 1.21 and MultiStream 1.23, but for RetinaNet in MultiStream on
    Jetson AGX Orin, where a batch of eight large images loads the module more than the streams of
    Offline do: up to 1.54 there.
    """

    def system(r: PublishedResult) -> tuple[str, ...]:
        return r.round, r.submitter, r.platform, r.accelerator, r.model

    offline = {system(r): r.power_w for r in results if r.pattern == "Offline" and r.power_w}
    ratios: dict[str, list[float]] = defaultdict(list)
    for r in results:
        if r.energy_j is None:
            continue
        assert r.latency_s is not None
        special = r.pattern == "MultiStream" and r.model == "retinanet" and "Orin" in r.accelerator
        name = "special" if special and "NX" not in r.accelerator else r.pattern
        ratios[name].append(r.energy_j / r.latency_s / offline[system(r)])
    assert {name: len(found) for name, found in ratios.items()} == {
        "SingleStream": 203, "MultiStream": 97, "special": 6
    }  # fmt: skip
    assert max(ratios["SingleStream"]) < 1.21
    assert max(ratios["MultiStream"]) < 1.23
    assert 1.3 < max(ratios["special"]) < 1.54
    assert min(min(found) for found in ratios.values()) > 0.28


def test_no_power_is_no_number(results: list[PublishedResult]) -> None:
    silent = [r for r in results if r.power_w is None and r.energy_j is None]
    assert len(silent) == 5435
    assert all(r.energy_per_sample_j is None for r in silent)
    for r in results:
        stream = r.pattern in ("SingleStream", "MultiStream")
        assert (r.latency_s is not None) == stream
        assert (r.per_s is not None) != stream
        assert not (r.power_w if stream else r.energy_j)


# --- rates ---------------------------------------------------------------------------------------


def ratios(results: list[PublishedResult], above: str, below: str) -> dict[tuple[str, ...], float]:
    """The rate with one load pattern over that with another, of the systems that have both."""
    rates: dict[tuple[str, ...], dict[str, float]] = defaultdict(dict)
    for r in results:
        if r.per_s is not None:
            key = (r.round, r.submitter, r.platform, r.accelerator, r.model, r.unit)
            assert r.pattern not in rates[key], "a system has one result of a kind"
            rates[key][r.pattern] = r.per_s
    return {
        key: found[above] / found[below]
        for key, found in rates.items()
        if {above, below} <= found.keys()
    }


def test_a_bound_on_the_latency_costs_throughput(results: list[PublishedResult]) -> None:
    """Server ≤ Offline. Not without exception: Offline was tuned less, or let the device throttle.

    Of 2,075 systems that have both, 124 are above, and 36 by more than a twentieth. None is above
    by more than 30 %, but RetinaNet on H100 PCIe by Dell in v3.1, whose Offline results are the odd
    ones: each card does about half of what it does in the other servers of that round.
    """
    ratio = ratios(results, "Server", "Offline")
    assert len(ratio) == 2075
    above = {key: value for key, value in ratio.items() if value > 1}
    assert len(above) == 124
    assert sum(value > 1.05 for value in above.values()) == 36
    odd = {key[:5:2]: value for key, value in above.items() if value > 1.3}
    assert odd.keys() == {
        ("v3.1", "R750xa_H100_PCIe_80GBx4_TRT", "retinanet"),
        ("v3.1", "R760xa_H100_PCIe_80GBx4_TRT", "retinanet"),
    }
    assert max(odd.values()) == pytest.approx(2.10, abs=0.005)


def test_a_tighter_bound_costs_more(results: list[PublishedResult]) -> None:
    """Interactive < Server, in tokens: also where the table says queries, which tokens are not."""
    ratio = ratios(results, "Interactive", "Server")
    assert len(ratio) == 47
    assert min(ratio.values()) > 0.3
    assert max(ratio.values()) < 1
    assert sum(key[4] == "llama3.1-8b" for key in ratio) == 5


@pytest.mark.parametrize(
    ("platform", "offer", "pattern", "dollars", "tolerance"),
    [
        (TENSORRT, "aws/g4dn.xlarge/us-east-1/on-demand", "Offline", 0.0242, 0.003),
        (TENSORRT, "aws/g4dn.xlarge/us-east-1/on-demand", "Server", 0.0317, 0.003),
        (ONNX_GPU, "aws/g4dn.xlarge/us-east-1/on-demand", "Offline", 0.277, 0.003),
        (ONNX_CPU, "aws/g4dn.xlarge/us-east-1/on-demand", "Offline", 5.23, 0.003),
        # The figures are for $0.7068/h; the catalogue may have it rounded.
        (G2, "google-cloud/g2-standard-4/us-central1/on-demand", "Offline", 0.0156, 0.02),
        (G2, "google-cloud/g2-standard-4/us-central1/on-demand", "Server", 0.0168, 0.02),
    ],
)
def test_dollars_per_million_inferences(
    results: list[PublishedResult],
    platform: str, offer: str, pattern: str, dollars: float, tolerance: float,
) -> None:  # fmt: skip
    """The same machine at the same price: software alone is a factor of two hundred."""
    machine = Catalogue().offer(offer).machine
    rate = one(results, "v3.1", "CTuning", platform, pattern).per_s
    assert isinstance(machine, RentedOffer)
    assert rate is not None
    assert float(machine.rate.price) / 3600 / rate * 1e6 == pytest.approx(dollars, rel=tolerance)


# --- what a row stands for -----------------------------------------------------------------------


def test_tokens_are_marked(results: list[PublishedResult]) -> None:
    """Language models of v4.1, and Llama in v4.0, say samples and mean tokens; so does Whisper."""
    tokens = Counter((r.round, r.family) for r in results if r.unit == "tokens")
    assert tokens.keys() == {
        ("v4.0", "llama2-70b"), ("v4.1", "gptj"), ("v4.1", "llama2-70b"), ("v4.1", "mixtral-8x7b"),
        *((r, m) for r in ("v5.1", "v6.0") for m in (
            "llama2-70b", "llama3.1-8b", "llama3.1-405b", "mixtral-8x7b", "deepseek-r1", "whisper"
        )),
        ("v6.0", "gpt-oss-120b"),
    }  # fmt: skip
    for r in results:
        family = (r.round, r.family)
        rate = r.pattern in ("Offline", "Server", "Interactive")
        assert (r.unit == "tokens") == (rate and family in tokens)
    assert {r.unit for r in results if r.round == "v4.0" and r.family == "gptj"} == {"samples"}


def test_a_token_is_much_less_than_a_sample(results: list[PublishedResult]) -> None:
    """The same system ran GPT-J in both rounds: its rate is some 80 times as high in tokens."""
    best: dict[str, float] = defaultdict(float)
    for r in results:
        if r.model == "gptj-99" and r.pattern == "Offline" and r.device == "nvidia-h100-sxm":
            assert r.per_s is not None
            best[r.round] = max(best[r.round], r.per_s / r.accelerators)
    assert 60 < best["v4.1"] / best["v4.0"] < 100


def test_software_of_the_maker_and_of_everybody(results: list[PublishedResult]) -> None:
    software = {r.platform: r.software for r in results}
    assert {software[p] for p in (TENSORRT, G2, ORIN_MAXN, "Orin_TRT_MaxQ", "L4x1_TRT")} == {
        "makers"
    }
    assert {software[p] for p in (ONNX_GPU, ONNX_CPU, PI, "rpi4-tflite-v2.7.1-ruy")} == {"general"}
    for name, which in software.items():
        if "_TRT" in name or "tensorrt" in name or "qaic" in name:
            assert which == "makers", name
        if "reference" in name:
            assert which == "general", name


def test_a_power_saving_mode_is_marked(results: list[PublishedResult]) -> None:
    saving = {r.platform for r in results if r.saving}
    assert {"Orin_TRT_MaxQ", "Orin_NX_TRT_MaxQ", "XR5610_L4x1_TRT_MaxQ"} <= saving
    assert not {"Orin_TRT", "Orin_NX_TRT", ORIN_MAXN, "L4x1_TRT"} & saving


@pytest.mark.parametrize(
    ("accelerator", "device"),
    [
        ("NVIDIA Jetson AGX Orin 64G", "nvidia-jetson-agx-orin-64gb"),
        ("NVIDIA Orin", "nvidia-jetson-agx-orin-64gb"),
        ("NVIDIA Jetson AGX Orin 32G", "nvidia-jetson-agx-orin-32gb"),
        ("NVIDIA Orin NX 16G", "nvidia-jetson-orin-nx-16gb"),
        ("TPU v5e", "google-tpu-v5e"),
        ("TPU v6", "google-tpu-v6e"),
        ("ARM Mali-G610 MP4", "arm-mali-g610-mp4"),
        ("ARM Mali G52MP8(8EE)", "arm-mali-g52-mp8"),
        ("Arm Mali-G52 MP6 GPU", "arm-mali-g52-mp6"),
        ("QUALCOMM Adreno 650 GPU", "qualcomm-adreno-650"),
        ("QUALCOMM Hexagon 698 DSP", "qualcomm-hexagon-698"),
        ("QUALCOMM NPU 230 AIP", "qualcomm-npu-230"),
        ("NVIDIA T4", "nvidia-t4"),
        ("NVIDIA L4", "nvidia-l4"),
        ("NVIDIA RTX PRO 6000 Blackwell Server Edition", "nvidia-rtx-pro-6000-server"),
        ("NVIDIA H200-NVL-141GB", "nvidia-h200-nvl"),
        ("NVIDIA GB300", "nvidia-gb300"),
        ("AMD Instinct MI300X 192GB HBM3", "amd-mi300x"),
        ("AMD Instinct MI355X 288GB HBM3e", "amd-mi355x"),
        ("Intel(R) Arc Pro(R) B60", "intel-arc-pro-b60"),
    ],
)
def test_an_accelerator_is_a_device(
    results: list[PublishedResult], accelerator: str, device: str
) -> None:
    found = {r.device for r in results if r.accelerator == accelerator}
    assert found == {device}
    assert device in Catalogue().devices


def test_what_has_no_device(results: list[PublishedResult]) -> None:
    """Processors, and what says nothing of a whole accelerator of one kind.

    Those are shared, capped, mixed, or two on a card; and four have too few results for a device.
    """
    known = [result for result in results if result.device is not None]
    assert {r.device for r in known} <= set(Catalogue().devices)
    others = {r.accelerator for r in results if r.device is None and r.round < "v5"}
    assert others == {
        "", "Virtualized NVIDIA L40S", "Virtualized NVIDIA H100-SXM-80GB", "NVIDIA A100-SXM-80C",
        "NVIDIA A10-24Q", "NVIDIA H100-80C", "NVIDIA Drive-A100-PCIe", "Neuchips RecAccel",
    }  # fmt: skip
    assert sum(r.device is None for r in results if r.round < "v5") == 472 + 50
    newest = {r.accelerator for r in results if r.device is None and r.round > "v5"}
    whole = {
        name for name in newest - {""}
        if not re.search(r"Virtualized|Power Cap|Dual|\(x\d+\)", name)
    }  # fmt: skip
    assert whole == {
        "NVIDIA RTX PRO 4500 Blackwell", "NVIDIA RTX 4000 Ada-PCIe-20GB",
        "Intel(R) Arc Pro(R) B50", "AMD Instinct MI350X 288GB HBM3e",
    }  # fmt: skip
    assert all(sum(r.accelerator == name for r in results) < 5 for name in whole)
    assert all(r.accelerators == 0 for r in results if r.accelerator == "")


def test_every_model_has_its_work_but_the_newest(results: list[PublishedResult]) -> None:
    """Of those nothing is projected, and none has rows that a projection would take for another's."""
    unknown = {r.family for r in results} - set(Catalogue().published_models)
    assert unknown == {
        "deepseek-r1", "dlrm-v3", "gpt-oss-120b", "llama3.1-405b", "llama3.1-8b",
        "qwen3-vl-235b-a22b", "rgat", "wan-2.2-t2v-a14b", "whisper",
    }  # fmt: skip
    assert {r.round for r in results if r.family in unknown} == {"v5.1", "v6.0"}


@pytest.mark.parametrize(
    ("round_", "platform", "model", "pattern", "per_s"),
    [
        ("v5.1", "8xMI325x_2xEPYC-9655", "stable-diffusion-xl", "Offline", 18.5856),
        ("v5.1", "8xMI300X_2xEPYC_9575F", "llama2-70b-99", "Interactive", 8840.42),
        ("v6.0", "GB300-NVL72_GB300-288GB_aarch64x4_TRT", "wan-2.2-t2v-a14b", "Offline", 0.036622),
    ],
)
def test_known_results_of_the_newest_rounds(
    results: list[PublishedResult],
    round_: str, platform: str, model: str, pattern: str, per_s: float,
) -> None:  # fmt: skip
    (found,) = (
        r for r in results
        if (r.round, r.platform, r.model, r.pattern) == (round_, platform, model, pattern)
    )  # fmt: skip
    assert found.per_s == per_s
    assert found.latency_s is None
    assert f"mlcommons/inference_results_{round_}" in found.origin.source


def test_where_a_result_stands(results: list[PublishedResult]) -> None:
    origin = one(results, "v2.1", "Krai", PI, "SingleStream").origin
    assert origin.provenance == "published"
    assert origin.as_of == "2022-09-08"
    assert "mlcommons/cm4mlperf-results, v2.1, closed/Krai/results/" in origin.source
    assert {r.origin.as_of for r in results} == {
        "2022-04-06", "2022-09-08", "2023-04-05", "2023-09-11", "2024-03-27", "2024-08-28",
        "2025-09-09", "2026-04-01",
    }  # fmt: skip


# --- tables that cannot be read ------------------------------------------------------------------

HEAD = "version,division,org,system_type,platform,accelerator,n_acc,model,scenario,result,unit,power,power_unit,location"
OFFLINE = "v3.1,closed,Acme,edge,box_TRT,NVIDIA T4,1.0,resnet50,Offline,100,Samples/s,50,Watts,a/b"
SINGLE = OFFLINE.replace("Offline,100,Samples/s,50,Watts", "SingleStream,2,Latency (ms),80,millijoules")  # fmt: skip
SERVER = OFFLINE.replace("Offline,100,Samples/s,50,Watts", "Server,90,Queries/s,,")


def table(tmp_path: Path, *lines: str) -> list[PublishedResult]:
    path = tmp_path / "table.csv"
    path.write_text("\n".join((HEAD, *lines)) + "\n")
    return read_results(path, {"NVIDIA T4": "t4"})


def test_base_units(tmp_path: Path) -> None:
    offline, single, server = table(tmp_path, OFFLINE, SINGLE, SERVER)
    assert (offline.per_s, offline.power_w, offline.energy_per_sample_j) == (100, 50, 0.5)
    assert (single.latency_s, single.energy_j, single.power_w) == (0.002, 0.08, None)
    assert (server.per_s, server.power_w, server.energy_per_sample_j) == (90, None, None)
    assert {r.device for r in (offline, single, server)} == {"t4"}


def test_what_counts_tokens(tmp_path: Path) -> None:
    """A unit, a pattern, or a model of a round whose unit is known to be wrong."""
    rows = [
        OFFLINE,
        OFFLINE.replace("Samples/s", "Tokens/s"),
        SERVER.replace("Server", "Interactive"),
        OFFLINE.replace("resnet50", "whisper").replace("v3.1", "v5.1"),
        OFFLINE.replace("resnet50", "whisper"),
    ]
    found = table(tmp_path, *rows)
    assert [r.unit for r in found] == ["samples", "tokens", "tokens", "tokens", "samples"]


def test_the_same_result_twice_is_one(tmp_path: Path) -> None:
    other = OFFLINE.replace("Acme", "Zeta")
    assert [r.submitter for r in table(tmp_path, OFFLINE, other, OFFLINE)] == ["Acme", "Zeta"]


def test_power_in_a_row_of_its_own_is_another_result(tmp_path: Path) -> None:
    assert len(table(tmp_path, OFFLINE, OFFLINE.replace("50,Watts", ","))) == 2


@pytest.mark.parametrize(
    ("row", "old", "new", "said"),
    [
        (OFFLINE, "Samples/s", "Latency (ms)", "Offline in 'Latency (ms)' (allowed: Samples/s, Tokens/s)"),
        (SINGLE, "Latency (ms)", "Tokens/s", "SingleStream in 'Tokens/s'"),
        (OFFLINE, "Samples/s", "", "Offline in ''"),
        (OFFLINE, "Samples/s", "Queries/s", "Offline in 'Queries/s'"),
        (SERVER, "Queries/s", "Samples/s", "Server in 'Samples/s'"),
        (SINGLE, "Latency (ms)", "Latency (s)", "SingleStream in 'Latency (s)'"),
        (OFFLINE, "Watts", "millijoules", "power of Offline in 'millijoules' (allowed: Watts)"),
        (SINGLE, "millijoules", "Watts", "power of SingleStream in 'Watts'"),
        (OFFLINE, ",100,", ",0,", "result '0' is not a number above zero"),
        (OFFLINE, ",100,", ",-1,", "result '-1' is not a number above zero"),
        (OFFLINE, ",100,", ",nan,", "result 'nan' is not"),
        (OFFLINE, ",100,", ",1e400,", "result '1e400' is not"),
        (OFFLINE, ",100,", ",,", "result '' is not"),
        (OFFLINE, ",100,", ",fast,", "result 'fast' is not"),
        (OFFLINE, ",50,", ",0,", "power '0' is not a number above zero"),
        (OFFLINE, ",50,", ",inf,", "power 'inf' is not"),
        (OFFLINE, "Offline", "Interactive", "Interactive in 'Samples/s' (allowed: Tokens/s, Queries/s)"),
        (OFFLINE, "Offline", "Hurried", "unknown scenario 'Hurried' (allowed: Offline, Server, Interactive"),
        (OFFLINE, "Offline", "", "unknown scenario ''"),
        (OFFLINE, "v3.1", "v9.9", "unknown round 'v9.9'"),
        (OFFLINE, ",1.0,", ",some,", "some"),
        (OFFLINE, ",1.0,", ",1.5,", "n_acc '1.5' is not a number of accelerators"),
        (OFFLINE, ",1.0,", ",-1,", "n_acc '-1' is not"),
        (OFFLINE, ",1.0,", ",inf,", "n_acc 'inf' is not"),
        (OFFLINE, ",a/b", "", "fewer cells than the head"),
        (OFFLINE, ",a/b", ",a/b,c", "more cells than the head"),
        (OFFLINE, "box_TRT", '"box"_TRT', "expected after"),
    ],
)  # fmt: skip
def test_a_row_that_cannot_be_is_named_with_its_line(
    tmp_path: Path, row: str, old: str, new: str, said: str
) -> None:
    assert row.count(old) == 1
    with pytest.raises(InputError, match=r"table\.csv:4:1: not a row of published") as caught:
        table(tmp_path, SINGLE, "", row.replace(old, new), OFFLINE)
    assert said in str(caught.value)


def test_the_line_is_that_of_the_file_where_a_cell_has_two(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"table\.csv:4:1: .*result '0'"):
        table(tmp_path, OFFLINE.replace("box_TRT", '"box\nTRT"'), OFFLINE.replace(",100,", ",0,"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", r"table\.csv:1:1: .*no column version"),
        ("version,org\nv3.1,Acme\n", r"table\.csv:1:1: .*no column platform, accelerator"),
        (HEAD.replace(",power_unit", "") + "\n", r"table\.csv:1:1: .*no column power_unit\."),
        (f"{HEAD}\n{OFFLINE[:-3]}\"a", r"table\.csv:2:1: .*unexpected end of data"),
    ],
)  # fmt: skip
def test_a_malformed_table(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "table.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=said):
        read_results(path, {})


def test_a_table_that_is_no_text_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    with pytest.raises(InputError, match=r"table\.csv: the file cannot be read \(No such file"):
        read_results(path, {})
    path.write_bytes(f"{HEAD}\n".encode() + b"\xff\xfe\n")
    with pytest.raises(InputError, match=r"table\.csv:\d+:1: "):
        read_results(path, {})


# --- slices, and results that are screened -------------------------------------------------------


ONE_OF_EIGHT = "Apollo_6500_gen10_plus_A100-SXM-80GB-MIG_1x1g.10gb_TRT"


@pytest.mark.parametrize(
    ("name", "counted", "serve"),
    [
        ("NVIDIA A100-PCIe-80GB (1x1g.10gb MIG)", "4.0", 1),
        ("NVIDIA A100-SXM-80GB (1x1g.10gb MIG)", "8.0", 1),
        ("NVIDIA A100-SXM-80GB (1x1g.10gb MIG)", "1.0", 1),
        ("NVIDIA A30 (1x2g.12gb MIG)", "2.0", 1),
        ("NVIDIA A100-SXM-80GB (7x1g.10gb MIG)", "8.0", 8),
        ("NVIDIA A30 (4x1g.6gb MIG)", "8.0", 8),
        ("NVIDIA A100-PCIe-80GB", "4.0", 4),
        ("", "", 0),
    ],
)
def test_one_slice_is_one_accelerator(tmp_path: Path, name: str, counted: str, serve: int) -> None:
    table = Catalogue().folder / "published" / "mlperf_inference_closed.csv"
    with table.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        first, columns = next(rows), rows.fieldnames or ()
    path = tmp_path / "table.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerow({**first, "accelerator": name, "n_acc": counted})
    (found,) = read_results(path, {})
    assert found.accelerators == serve


def test_a_slice_is_as_fast_in_any_host(results: list[PublishedResult]) -> None:
    """483 to 494 sequences a second, and no fewer in systems with 4 or 8 cards."""
    rates = {
        row.platform: row.per_s / row.accelerators
        for row in results
        if row.accelerator.endswith("(1x1g.10gb MIG)") and row.pattern == "Offline"
        and row.model == "bert-99" and row.per_s
    }  # fmt: skip
    assert {"NC96ads_A100_v4_MIG_1g_10gb_TRT", ONE_OF_EIGHT} < rates.keys()
    assert max(rates.values()) < 1.03 * min(rates.values())


@pytest.mark.parametrize(
    ("device", "family", "single_ms"),
    # By hand, from the table: 0.332 and 0.937 ms; 0.638, 0.644 and 1.66 ms; 28.6 and 65.9 ms.
    [("nvidia-l40s", "resnet50", 0.332), ("nvidia-jetson-agx-orin-32gb", "resnet50", 0.641),
     ("nvidia-a40", "rnnt", 28.6)],
)  # fmt: skip
def test_a_published_cell_is_screened_as_the_projections_are(
    results: list[PublishedResult], device: str, family: str, single_ms: float
) -> None:
    known = Catalogue()
    found = Projector(known).figure("latency", device, Subject(family, NOTHING, None, family))
    cell = [
        row.latency_s
        for row in results
        if row.device == device and row.family == family and row.pattern == "SingleStream"
        and row.software == "makers" and not row.saving and row.latency_s
    ]  # fmt: skip
    kept = [seconds for seconds in cell if seconds < 2 * min(cell)]
    assert len(kept) < len(cell)
    assert len(found.rows) == len(kept)
    assert found.value == pytest.approx(median(kept))
    assert found.value * 1e3 == pytest.approx(single_ms, rel=0.01)
