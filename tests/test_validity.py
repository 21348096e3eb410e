"""The validity rules one by one, on figures made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from bench.measure import validity
from bench.measure.measurement import GeneratorCheck, Status, overall


def check(**changes: float | None) -> GeneratorCheck:
    figures = {"late_share": 0.0, "null_late_share": 0.0, "null_p99_s": 0.0002, **changes}
    return GeneratorCheck.model_validate({"sends": 1000, "pinned": False, **figures})


@pytest.mark.parametrize(
    ("changes", "p99_s", "status"),
    [
        ({}, 0.010, "valid"),
        ({}, 0.003, "invalid"),
        ({"late_share": 0.02}, 0.010, "invalid"),
        ({"null_late_share": 0.02}, 0.010, "invalid"),
        ({"null_p99_s": None}, 0.010, "not checked"),
        ({}, None, "not checked"),
    ],
)
def test_generator(changes: dict[str, float | None], p99_s: float | None, status: Status) -> None:
    assert validity.generator([check(**changes)], p99_s).status == status


def windows(
    counts: tuple[int, ...], p99s: tuple[float, ...]
) -> list[tuple[int, float, np.ndarray]]:
    return [(n, 1.0, np.full(100, p)) for n, p in zip(counts, p99s, strict=True)]


@pytest.mark.parametrize(
    ("counts", "p99s", "status"),
    [
        ((100, 105, 109), (1.0, 1.05, 1.1), "valid"),
        ((100, 105, 112), (1.0, 1.0, 1.0), "unstable"),
        ((100, 100, 100), (1.0, 1.2, 1.0), "unstable"),
        ((100, 0, 100), (1.0, 1.0, 1.0), "unstable"),
    ],
)
def test_steady_state(counts: tuple[int, ...], p99s: tuple[float, ...], status: Status) -> None:
    assert validity.steady_state(windows(counts, p99s), 99).status == status


def test_only_throughput_counts_where_there_is_no_percentile() -> None:
    assert validity.steady_state(windows((100, 100, 100), (1, 9, 1)), None).status == "valid"


def test_duration() -> None:
    assert validity.duration(700, 60, 662, 60, None).status == "valid"
    assert validity.duration(600, 60, 662, 60, None).status == "invalid"
    assert validity.duration(700, 50, 662, 60, None).status == "invalid"
    assert validity.duration(700, 60, 662, 60, "smoke").status == "not checked"


def test_errors_up_to_one_in_a_hundred() -> None:
    assert validity.errors(["x"] * 1, 100).status == "valid"
    assert validity.errors(["x"] * 2, 100).status == "invalid"


def test_errors_are_counted_by_kind() -> None:
    said = ["HTTP 500: busy"] * 3 + ["HTTP 429: later"] * 4 + ["time-out: over 30 s"]
    verdict = validity.errors(said, 160)
    assert verdict.status == "invalid"
    assert verdict.reason.startswith(
        "8 of 160 requests failed (5.0%, at most 1% allowed): "
        "4 × HTTP 429, 3 × HTTP 500, 1 × time-out; the first: HTTP 500: busy"
    )


def test_early_stopping_needs_more_queries_the_more_are_late() -> None:
    response = np.concatenate([np.full(837, 0.01), np.full(1, 1.0)])
    assert validity.early_stopping(response, 99, 0.1).passed
    late = np.concatenate([np.full(835, 0.01), np.full(3, 1.0)])
    ruling = validity.early_stopping(late, 99, 0.1)
    assert (ruling.over_limit, ruling.passed) == (3, False)
    lost = np.concatenate([np.full(700, 0.01), [np.inf]])
    assert validity.early_stopping(lost, 99, 0.1).estimate_s is None


def test_wide_service_times_are_one_warning() -> None:
    narrow, wide = np.full(10, 1.0), np.array([1.0, 1.0, 2.0, 2.0])
    assert validity.service_time_warning({1: narrow}) is None
    said = validity.service_time_warning({1: narrow, 2: wide})
    assert said is not None
    assert "1 of 2 batch sizes" in said


def test_a_rule_that_could_not_be_checked_spoils_nothing() -> None:
    verdicts = [validity.errors([], 10), validity.generator([check(null_p99_s=None)], 1.0)]
    assert overall(verdicts) == "valid"
    assert overall([*verdicts, validity.errors(["x"] * 9, 10)]) == "invalid"


def test_what_no_rule_could_check_is_not_valid() -> None:
    assert overall([validity.generator([check(null_p99_s=None)], 1.0)]) == "not checked"
    assert overall([]) == "not checked"


@pytest.mark.parametrize(
    ("threads", "limits", "warns"),
    [
        (1, [None], False),
        (1, [0.6], True),
        (1, [1.0], False),
        (2, [2.0, 1.5], True),
        (4, [], False),
    ],
)
def test_more_threads_than_a_quota_fills_are_a_warning(
    threads: int, limits: list[float | None], warns: bool
) -> None:
    assert (validity.quota_warning(threads, limits) is not None) is warns
