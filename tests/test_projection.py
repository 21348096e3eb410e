"""Projections: the sum of costs, what networks have in common, and what held-out answers say."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.counts import Counts
from bench.errors import InputError
from bench.hardware import Catalogue, Key, Setting
from bench.profile.projection import Anchor, Projector, Refused, Subject
from bench.profile.projection.benchmarks import rows_of
from bench.profile.projection.costs import FEATURES, features, fitted, pooled, rates_of, scale_of
from bench.profile.projection.errors import read_errors
from bench.profile.projection.likeness import carried, correlation, relation
from bench.profile.projection.observed import NARROWEST, Observations, Observed

ROOT = Path(__file__).parents[1]
EVIDENCE = json.loads((ROOT / "docs" / "evidence" / "projection.json").read_text())["figures"]
PUBLISHED = ROOT / "hardware_profiles" / "published"
COSTS = np.array([2e-13, 4e-13, 3e-13, 9e-13, 2e-12, 3e-11, 1e-12, 5e-6, 1e-4])


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue()


@pytest.fixture(scope="module")
def projector(catalogue: Catalogue) -> Projector:
    return Projector(catalogue)


def drawn(count: int, seed: int = 0) -> np.ndarray:
    """Counts of made-up networks."""
    draw = np.random.default_rng(seed)
    sizes = np.array([3e9, 3e8, 3e8, 3e8, 2e8, 1e7, 2e7, 60])
    return features([Counts(*row) for row in sizes * draw.lognormal(0, 1, (count, len(sizes)))])


def setting(device: str = "nvidia-t4", **more: str) -> Setting:
    fields = {"part": "gpu", "runtime": "R 1", "precision": "fp16", "regime": "many"} | more
    return Setting(device=device, match="exact", source="here", as_of="2026-01-01", **fields)  # type: ignore[arg-type]


def test_planted_costs_are_found() -> None:
    x = drawn(300)
    noise = np.random.default_rng(1).lognormal(0, 0.02, len(x))
    found = fitted(x, x @ COSTS * noise, np.ones(FEATURES) / x.mean(axis=0))
    assert x @ found == pytest.approx(x @ COSTS, rel=0.05)
    assert found[:5] == pytest.approx(COSTS[:5], rel=0.3)


def test_a_few_wild_times_change_little() -> None:
    x = drawn(60)
    seconds = x @ COSTS
    wild = seconds.copy()
    wild[::12] *= 8
    pattern = np.ones(FEATURES) / x.mean(axis=0)
    sure, unsure = (np.log(x @ fitted(x, t, pattern) / seconds) for t in (seconds, wild))
    assert float(np.median(np.abs(unsure))) < 0.1 + float(np.median(np.abs(sure)))


def test_with_few_networks_the_pattern_decides_and_the_times_set_the_level() -> None:
    x = drawn(3)
    found = fitted(x, 7 * (x @ COSTS), COSTS)
    assert found == pytest.approx(7 * COSTS, rel=1e-6)


def test_costs_carry_on_beyond_what_was_seen() -> None:
    """A network ten times as large takes ten times as long, less what a call costs by itself."""
    x = drawn(100)
    costs = fitted(x, x @ COSTS, np.ones(FEATURES) / x.mean(axis=0))
    large = 10 * x
    large[:, -1] = 1
    assert large @ costs == pytest.approx(large @ COSTS, rel=0.1)


def test_the_pattern_of_a_kind_is_that_of_its_members_by_their_rates() -> None:
    """Devices of one pattern whose data sheets differ tenfold."""
    tables = []
    for number, rate in enumerate((1e12, 1e13, 3e12, 3e13)):
        scale = np.ones(FEATURES)
        scale[:5], scale[5:7] = 1 / rate, 3 / rate
        x = drawn(40, seed=number)
        tables.append((x, x @ (COSTS / 1e-12 * scale), scale))
    found = pooled(tables)
    fifth = np.ones(FEATURES)
    fifth[:5], fifth[5:7] = 1 / 5e12, 3 / 5e12
    x = drawn(40, seed=9)
    ratio = (x @ (found * fifth)) / (x @ (COSTS / 1e-12 * fifth))
    assert ratio == pytest.approx(np.full(40, np.median(ratio)), rel=0.3)
    assert float(np.median(ratio)) == pytest.approx(1, rel=0.5)


@pytest.mark.parametrize(
    ("precision", "rate"),
    [("int8", 130e12), ("w8a16", 130e12), ("fp16 (AMP)", 65e12), ("bf16", 65e12), ("fp32", 8.1e12)],
)
def test_a_precision_is_paid_by_its_rate(catalogue: Catalogue, precision: str, rate: float) -> None:
    sheet = catalogue.device("nvidia-t4").data_sheet
    assert rates_of(sheet, precision) == (pytest.approx(rate), pytest.approx(300e9))
    assert rates_of(None, precision) == (None, None)
    assert scale_of(None, precision, (2.0, 4.0)).tolist() == [0.5] * 5 + [0.25] * 2 + [1.0] * 2


def observed(slow: np.ndarray, which: str = "a", device: str = "nvidia-t4") -> Observed:
    """A setting of made-up networks, each slower by what is left of its counts."""
    x = drawn(len(slow))
    keys: tuple[Key, ...] = tuple((f"n{number}", 224) for number in range(len(slow)))
    return Observed(setting(device, runtime=which), keys, x, x @ COSTS * np.exp(slow), COSTS)


def test_a_network_slower_than_its_counts_elsewhere_is_so_here() -> None:
    slow = np.random.default_rng(2).normal(0, 0.2, 60)
    here, there = observed(slow, "a"), observed(slow, "b", "nvidia-a10")
    left = here.without({("n7", 224)})
    assert correlation(left, there, {}) > 0.5
    z = carried(left, [(there, there.residuals["n7", 224])], {})
    alone = math.log(here.seconds[7]) - math.log(here.x[7] @ left.costs)
    assert abs(alone - left.sigma * z) < abs(alone)


def test_settings_with_nothing_in_common_say_nothing_of_each_other() -> None:
    draw = np.random.default_rng(3)
    one, other = observed(draw.normal(0, 0.2, 300)), observed(draw.normal(0, 0.2, 300), "b")
    assert abs(correlation(one, other, {})) < 0.3
    assert carried(one, [], {}) == 0.0


def test_how_settings_stand_to_each_other() -> None:
    one = setting()
    assert relation(one, one) == "device software regime"
    assert relation(one, setting("nvidia-a10", runtime="S 2")) == "part regime"
    assert relation(one, setting("x", part="cpu", runtime="S", regime="one")) == "nothing"
    assert relation(one, setting("x", part="cpu", runtime="R 7", regime="one")) == "software"


def test_a_perfect_setting_is_not_taken_to_be_perfect() -> None:
    assert observed(np.zeros(50)).sigma == NARROWEST


def test_less_than_all_threads_are_no_measure_of_a_device(catalogue: Catalogue) -> None:
    counts = {("n", 224): Counts(*drawn(1)[0][:-1])}
    own = {
        setting("raspberry-pi-5", part="cpu", runtime=f"ncnn {n} threads"): {("n", 224): 1 / n}
        for n in (1, 2, 4)
    }
    (kept,) = Observations(own, counts, catalogue.devices).whole.values()
    assert [one.threads for one in kept] == [4]


def test_the_benchmark_is_read_by_rule(catalogue: Catalogue) -> None:
    cells = rows_of(catalogue.published, "throughput")
    rows = cells["nvidia-t4", "resnet50"]
    assert len(rows) > 3
    assert all(row.software == "makers" and not row.saving and row.accelerators for row in rows)
    assert min(rows.values()) > max(rows.values()) / 2
    assert not any(row.unit == "tokens" for own in cells.values() for row in own)


RESNET = Subject(
    "ResNet-50", Counts(4.087e9, 2.05e6, 0, 0, 0, 1.111e7, 2.556e7, 54), ("resnet50", 224),
    "resnet50",
)  # fmt: skip
MINE = replace(RESNET, title="mine", network=None, model=None)


def test_what_was_published_is_given_back(catalogue: Catalogue, projector: Projector) -> None:
    found = projector.figure("throughput", "nvidia-t4", RESNET)
    rows = rows_of(catalogue.published, "throughput")["nvidia-t4", "resnet50"]
    assert found.published
    assert found.value == pytest.approx(float(np.median(list(rows.values()))))
    here = projector.figure("latency", "raspberry-pi-5", replace(RESNET, model=None))
    assert here.published
    own = [
        own["resnet50", 224]
        for setting, own in catalogue.timings.seconds.items()
        if setting.device == "raspberry-pi-5" and ("resnet50", 224) in own
    ]
    assert here.value in [pytest.approx(seconds) for seconds in own]


def test_the_less_is_known_the_wider(projector: Projector) -> None:
    plain = replace(RESNET, model=None)
    published = projector.figure("throughput", "nvidia-rtx-4090", plain, "pytorch")
    known = projector.figure("throughput", "nvidia-rtx-4090", MINE, "pytorch")
    sheet = projector.figure("throughput", "nvidia-b200-sxm", MINE)
    assert (known.question, sheet.question) == ("new", "data sheet")
    assert published.log_error < known.log_error < sheet.log_error
    assert known.value == pytest.approx(published.value, rel=0.5)


def test_more_work_takes_longer(projector: Projector) -> None:
    for device in ("nvidia-t4", "raspberry-pi-5", "nvidia-h100-sxm"):
        for name in ("throughput", "latency"):
            small, large = (
                projector.figure(name, device, replace(MINE, counts=Counts(*(n * c for c in MINE.counts))))
                for n in (1, 4)
            )  # fmt: skip
            ratio = large.value / small.value
            assert 1.5 < (1 / ratio if name == "throughput" else ratio) <= 4.001


def test_a_measurement_elsewhere_moves_it(projector: Projector) -> None:
    alone = projector.figure("throughput", "nvidia-rtx-4090", MINE)
    (there,) = (
        o
        for o in projector.observations.of("nvidia-rtx-5090", "many")
        if "compile" in o.setting.runtime
    )
    slow = 3 * math.exp(there.log_seconds(MINE.counts))
    anchored = replace(MINE, anchors=(Anchor("nvidia-rtx-5090", "many", slow),))
    found = projector.figure("throughput", "nvidia-rtx-4090", anchored)
    assert found.question == "measured"
    assert 1.2 < alone.value / found.value < 4
    assert found.log_error <= alone.log_error


def test_a_runtime_that_is_asked_for_is_taken(projector: Projector) -> None:
    found = projector.figure("latency", "nvidia-jetson-orin-nx-16gb", MINE, "pytorch")
    assert found.setting is not None
    assert found.setting.software == "pytorch"


def test_a_chip_in_another_host_is_less_sure(projector: Projector) -> None:
    chip = projector.figure("throughput", "hailo-8", MINE)
    board = projector.figure("throughput", "raspberry-pi-5-hailo-8", MINE)
    assert board.value == pytest.approx(chip.value)
    assert board.log_error > chip.log_error
    assert "in another host" in board.source


def test_energy_is_watts_times_time(projector: Projector) -> None:
    energy = projector.figure("energy", "nvidia-l4", MINE)
    rate = projector.figure("throughput", "nvidia-l4", MINE)
    assert 30 < energy.value * rate.value < 300  # a card of 72 W, with its share of the host
    assert energy.log_error > rate.log_error


def test_nothing_is_said_of_what_nothing_is_known_of(projector: Projector) -> None:
    for ask in (lambda: projector.require_device("smartphone-generic"),
                lambda: projector.figure("latency", "smartphone-generic", MINE)):  # fmt: skip
        with pytest.raises(Refused) as refused:
            ask()
        assert refused.value.todo
        assert "smartphone" not in refused.value.what


def test_what_half_of_the_answers_missed_by_far_is_refused(catalogue: Catalogue) -> None:
    spoilt = Projector(catalogue)
    errors = dict(spoilt.errors)
    for key, held in errors.items():
        if key[0] == "data sheet":
            errors[key] = replace(held, median=math.log(2.1))
    spoilt.__dict__["errors"] = errors
    with pytest.raises(Refused, match="factor of two"):
        spoilt.figure("throughput", "nvidia-b200-sxm", MINE)


def test_held_out_errors_are_those_of_the_evidence() -> None:
    """The intervals that are shipped are the ones that the session's figures are of."""
    evidence = EVIDENCE["held_out"]
    shipped = read_errors(PUBLISHED)
    assert {(r["question"], r["part"], r["regime"]): r["cells"] for r in evidence} == {
        key: held.cells for key, held in shipped.items()
    }


@pytest.mark.parametrize(
    ("question", "regime", "most"),
    [
        ("new", "many", 0.18),
        ("new", "one", 0.25),
        ("elsewhere", "many", 0.1),
        ("elsewhere", "one", 0.1),
    ],
)
def test_the_errors_keep_the_bars(question: str, regime: str, most: float) -> None:
    rows = EVIDENCE["all"]
    (row,) = (r for r in rows if (r["question"], r["regime"]) == (question, regime))
    assert row["median"] <= most
    assert 0.85 <= row["coverage"] <= 0.95


def test_one_calibrated_machine_keeps_the_bars() -> None:
    found = {row["between"]: row["median"] for row in EVIDENCE["measured"]}
    assert found["gpu"] <= 0.15
    assert found["other"] <= 0.22


def test_the_session_is_made_again_for_one_setting(projector: Projector) -> None:
    """What the evidence says of the RTX 3090 is what the program does today."""
    away = np.concatenate(
        [
            projector.sureness.left_out(o)
            for o in projector.observations.of("nvidia-rtx-3090", "many")
            if projector.sureness.well_known(o)
        ]
    )
    (said,) = (
        row
        for row in EVIDENCE["by_device"]
        if (row["device"], row["regime"]) == ("nvidia-rtx-3090", "many")
    )
    assert float(np.median(np.abs(np.expm1(away)))) == pytest.approx(said["median"], rel=0.02)


@pytest.mark.parametrize(
    ("file", "row", "said"),
    [
        ("timings.csv", ["1", "no-such-network", "224", "1"], "is not in networks.csv"),
        ("timings.csv", ["9999", "resnet50", "224", "1"], "setting 9999 is not in settings.csv"),
        ("timings.csv", ["1", "resnet50", "224", "-1"], "not a time above zero"),
        ("timings.csv", ["1", "resnet50", "224", "nan"], "not a time above zero"),
        ("settings.csv", ["9", "nvidia-t4", "gpu", "R", "fp16", "some", "exact", "s", "d"], "unknown regime"),
        ("networks.csv", ["x", "224", "x", *"00000000"], "no layer"),
    ],
)  # fmt: skip
def test_a_broken_table_is_one_paragraph(
    tmp_path: Path, file: str, row: list[str], said: str
) -> None:
    from bench.hardware.timings import read_timings

    for name in ("networks.csv", "settings.csv", "timings.csv"):
        (tmp_path / name).write_text((PUBLISHED / name).read_text())
    with (tmp_path / file).open("a", newline="") as end:
        csv.writer(end).writerow(row)
    with pytest.raises(InputError, match=said) as refused:
        read_timings(tmp_path)
    assert file in str(refused.value)
