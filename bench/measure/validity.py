"""The validity rules: pure functions from what was seen to a verdict.

`docs/measurement.md` lists them with their sources and tests.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from bench.measure.backends import Placement
from bench.measure.measurement import (
    Agreement,
    EarlyStopping,
    Freshness,
    GeneratorCheck,
    Parity,
    Status,
    Verdict,
)
from bench.measure.open_loop import LATE_SHARE
from bench.stats import early_stopping_estimate, early_stopping_floor, empirical_quantile

CLOCK_DRIFT = 1e-3
"""Network time may slew a clock by 5e-4; more is a fault."""
REPEAT_RATIO = 0.9
FP32_PARITY = 0.01
"""Relative error of raw fp32 outputs; reduced precision is judged by its answers alone."""
FP32_AGREEMENT = 0.95
"""Not 1: a batch is padded to its longest item, and a padded answer may differ."""
REDUCED_AGREEMENT = 0.5
"""Below it a reduced model is broken, not cheaper; scenarios may ask for more."""
NULL_SHARE = 0.05
STEADY_RATIO = 1.10
STEADY_WINDOWS = 3
STEADY_QUERIES = 30
"""With fewer, a single query more or less in a window is a difference of over 10 %."""
ERROR_SHARE = 0.01
MOST_KINDS = 5
CV_WARNING, IQR_WARNING = 0.025, 0.10

Floats = npt.NDArray[np.float64]


def placement(placements: Sequence[Placement]) -> Verdict:
    """Every node ran where it was asked to, or where the options allow it by name."""
    first = placements[0]
    strays = sorted({kind for p in placements for kind in p.elsewhere})
    counted = ", ".join(f"{count} on {device}" for device, count in first.nodes.items())
    if first.proof is None:
        return _verdict("placement", "not checked", "the backend gives no proof of where it ran")
    if strays:
        return _verdict(
            "placement", "invalid",
            f"{first.wanted} was asked for, and nodes ran elsewhere: {counted} "
            f"({', '.join(strays)}); allow them by name if that is meant",
        )  # fmt: skip
    return _verdict("placement", "valid", f"{counted}, by {first.proof}")


def output(
    agreements: Sequence[Agreement],
    parities: Sequence[Parity],
    *,
    same_model: bool,
    floor: float | None,
    no_reference: str = "",
) -> Verdict:
    """The answers of the timed run are the reference's; raw fp32 outputs are near to its.

    ``same_model``: fp32 and the reference's own model, so that nothing excuses a difference.
    ``no_reference``: why there are no answers to hold against.
    """
    if not agreements:
        return _verdict("output", "not checked", f"there is no reference: {no_reference}")
    answered = sum(a.answered for a in agreements)
    share = sum(a.agreeing for a in agreements) / max(answered, 1)
    needed = floor if floor is not None else FP32_AGREEMENT if same_model else REDUCED_AGREEMENT
    error = max((p.relative_error for p in parities), default=0.0)
    seen = (
        f"{share:.2%} of {answered} answers are the reference's ({agreements[0].reference}), "
        f"{needed:.0%} needed; relative error of the raw outputs {error:.2g}"
    )
    if answered == 0 or share < needed:
        return _verdict("output", "invalid", seen)
    if same_model and error > FP32_PARITY:
        return _verdict("output", "invalid", f"{seen}, at most {FP32_PARITY:g} allowed")
    return _verdict("output", "valid", seen)


def fresh_inputs(seen: Sequence[Freshness]) -> Verdict:
    """An input that was just asked is not answered faster than a new one (LoadGen TEST04)."""
    worst = min(seen, key=lambda f: f.ratio.high or 1.0)
    text = (
        f"repeated inputs took {worst.ratio.value:.2f} of the time of new ones"
        if worst.ratio.value is not None
        else f"not enough pairs ({worst.ratio.reason})"
    )
    if worst.ratio.high is None:
        return _verdict("fresh inputs", "not checked", text)
    cached = remembered(worst)
    return _verdict(
        "fresh inputs", "invalid" if cached else "valid",
        text + (": a cache was measured" if cached else ""),
    )  # fmt: skip


def remembered(seen: Freshness) -> bool:
    """Whether repeated inputs are answered faster, by more than chance: with the whole interval of
    the pairs, and between the medians too."""
    if seen.ratio.high is None or seen.fresh_s is None or seen.repeated_s is None:
        return False
    return max(seen.ratio.high, seen.repeated_s / max(seen.fresh_s, 1e-12)) < REPEAT_RATIO


def clock(drifts: Sequence[float]) -> Verdict:
    """The clock kept pace with an independent one."""
    worst = max(drifts, key=abs)
    status: Status = "invalid" if abs(worst) > CLOCK_DRIFT else "valid"
    return _verdict("clock", status, f"drift {worst:.1e} against {CLOCK_DRIFT:g} allowed")


def duration(
    queries: int, seconds: float, needed: int, needed_s: float, caveat: str | None
) -> Verdict:
    """The run had enough queries and was long enough."""
    seen = f"{queries} queries in {seconds:.4g} s; {needed} queries and {needed_s:g} s needed"
    if queries < needed or seconds < needed_s * 0.98:  # the last arrival is not at the very end
        return _verdict("duration", "invalid", f"too short: {seen}")
    if caveat:
        return _verdict("duration", "not checked", f"{seen}; {caveat}")
    return _verdict("duration", "valid", seen)


def errors(failed: Sequence[str], asked: int) -> Verdict:
    """Requests that failed or timed out, by kind; they stay in the denominator.

    ``failed``: what each of them said, behind the kind of failure and a colon.
    """
    text = f"{len(failed)} of {asked} requests failed"
    if failed:
        kinds = Counter(said.partition(": ")[0] for said in failed)
        listed = ", ".join(f"{count} × {kind}" for kind, count in kinds.most_common(MOST_KINDS))
        text += (
            f" ({len(failed) / asked:.1%}, at most {ERROR_SHARE:.0%} allowed): {listed}; "
            f"the first: {failed[0]}"
        )
    return _verdict("errors", "invalid" if len(failed) > ERROR_SHARE * asked else "valid", text)


def generator(checks: Sequence[GeneratorCheck], reported_p99_s: float | None) -> Verdict:
    """The load generator kept its schedule and adds little to what is reported."""
    late = max(c.late_share for c in checks)
    null_late = max(c.null_late_share for c in checks)
    null_p99 = max((c.null_p99_s for c in checks if c.null_p99_s is not None), default=None)
    text = (
        f"{late:.2%} of the sends were over 1 ms late, {null_late:.2%} on the null backend; "
        f"null p99 {_ms(null_p99)} against {_ms(reported_p99_s)} reported"
    )
    if max(late, null_late) > LATE_SHARE:
        return _verdict("generator", "invalid", text + "; leave it a core, or lower the rate")
    if null_p99 is None or reported_p99_s is None:
        return _verdict("generator", "not checked", text)
    heavy = null_p99 > NULL_SHARE * reported_p99_s
    return _verdict("generator", "invalid" if heavy else "valid", text)


def steady_state(windows: Sequence[tuple[int, float, Floats]], percentile: float | None) -> Verdict:
    """Throughput and the percentile of three windows are within 10 % of each other.

    ``windows``: queries completed, seconds, and response times of each (perf_analyzer's rule).
    """
    ratios = {"throughput": _spread([done / seconds for done, seconds, _ in windows])}
    if percentile is not None:
        values = [
            empirical_quantile(np.sort(response), percentile / 100) if response.size else 0.0
            for _, _, response in windows
        ]
        ratios[f"p{percentile:g}"] = _spread(values)
    text = ", ".join(f"{name} max ÷ min {ratio:.3f}" for name, ratio in ratios.items())
    unsteady = max(ratios.values()) > STEADY_RATIO
    return _verdict(
        "steady state", "unstable" if unsteady else "valid",
        f"{text} over {len(windows)} windows, {STEADY_RATIO:.2f} allowed",
    )  # fmt: skip


def early_stopping(response: Floats, percentile: float, limit_s: float | None) -> EarlyStopping:
    """MLPerf-style: enough queries to be 99 % sure of the percentile."""
    q = percentile / 100
    over = int((response > limit_s).sum()) if limit_s is not None else None
    needed = early_stopping_floor(over if over is not None else 1, q)
    estimate = early_stopping_estimate(response, q)
    finite = estimate is not None and np.isfinite(estimate)
    return EarlyStopping(
        percentile=percentile,
        over_limit=over,
        queries=len(response),
        needed=needed,
        passed=len(response) >= needed,
        estimate_s=estimate if finite else None,
    )


def service_time_warning(by_size: Mapping[int, Floats]) -> str | None:
    """Distributions too wide for their means to say much, in one sentence for all batch sizes."""
    wide = {}
    for size, times in by_size.items():
        if len(times) < 4 or not times.mean():
            continue
        variation = float(times.std(ddof=1) / times.mean())
        low, median, high = np.percentile(times, [25, 50, 75])
        quartiles = float((high - low) / median) if median else 0.0
        if variation > CV_WARNING or quartiles > IQR_WARNING:
            wide[size] = (variation, quartiles)
    if not wide:
        return None
    variation, quartiles = (max(values) for values in zip(*wide.values(), strict=True))
    return (
        f"service times vary at {len(wide)} of {len(by_size)} batch sizes: coefficient of variation "
        f"up to {variation:.1%}, interquartile range up to {quartiles:.1%} of the median; inputs of "
        "different sizes do that, and so does a busy machine"
    )


def quota_warning(threads: int, limits_cores: Iterable[float | None]) -> str | None:
    """More threads than the control group's quota keeps busy, in one sentence."""
    least = min((limit for limit in limits_cores if limit is not None), default=None)
    if least is None or threads <= least:
        return None
    return (
        f"{threads} thread{'s' if threads > 1 else ''} under a quota of {least:g} cores: whenever it "
        "is used up all of them stand still until the next period, and that is in every time here; "
        "raise the quota (docker run --cpus, limits.cpu), or say threads of the device"
    )


def _spread(values: Sequence[float]) -> float:
    low = min(values)
    return max(values) / low if low > 0 else float("inf") if max(values) > 0 else 1.0


def _verdict(rule: str, status: Status, reason: str) -> Verdict:
    return Verdict(rule=rule, status=status, reason=reason)


def _ms(seconds: float | None) -> str:
    return "–" if seconds is None else f"{seconds * 1e3:.3g} ms"
