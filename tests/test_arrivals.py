"""Arrival processes: their rates, their burstiness, and traces that cannot be used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from bench import extensions
from bench.arrivals import (
    Span,
    backlog,
    closed_loop,
    diurnal,
    draw,
    gamma,
    is_closed,
    mmpp,
    periodic,
    poisson,
    trace,
    weibull,
)
from bench.errors import InputError
from bench.folders import data_folder
from bench.units import DAY_S, HOUR_S

CONVERSATION = data_folder("scenarios") / "traces" / "azure-conversation-2023.csv"


def times_of(module: Any, options: Any, sources: int, length_s: float, seed: int = 1) -> Any:
    return draw(module, options, Span(sources, length_s), np.random.default_rng(seed))[:2]


OPEN = [
    (poisson, poisson.Options(rate=5.0)),
    (gamma, gamma.Options(rate=5.0, cv=3.0)),
    (weibull, weibull.Options(rate=5.0, cv=3.0)),
    (
        mmpp,
        mmpp.Options(
            states=[mmpp.Phase(rate=1.0, mean_length=5.0), mmpp.Phase(rate=21.0, mean_length=1.25)]
        ),
    ),
    (diurnal, diurnal.Options(rate=5.0)),
    (periodic, periodic.Options(period=0.2, jitter=0.05)),
    (trace, trace.Options(file=CONVERSATION, column="TIMESTAMP", rate=20.0)),
]


@pytest.mark.parametrize(
    ("module", "options"), OPEN, ids=lambda value: getattr(value, "__name__", "")
)
def test_every_process_has_its_rate_in_order_and_in_chunks(module: Any, options: Any) -> None:
    span = Span(4, DAY_S, day_s=DAY_S)
    chunks = list(module.stream(options, span, np.random.default_rng(3)))
    assert len(chunks) > 10
    assert max(len(chunk.times) for chunk in chunks) < 200_000
    times, source, _ = (np.concatenate(column) for column in zip(*chunks, strict=True))
    assert (np.diff(times) >= 0).all()
    assert times[0] >= 0
    assert times[-1] < DAY_S
    assert set(source.tolist()) == {0, 1, 2, 3}
    rate = module.mean_rate(options, 4)
    assert rate == pytest.approx(20.0)
    assert len(times) / DAY_S == pytest.approx(rate, rel=0.05)


def test_every_member_is_tested_here() -> None:
    tested = {module.__name__.rpartition(".")[2] for module, _ in OPEN} | {"backlog", "closed_loop"}
    assert {name.replace("-", "_") for name in extensions.names("bench.arrivals")} == tested


@pytest.mark.parametrize("module", [gamma, weibull])
@pytest.mark.parametrize("cv", [0.5, 1.0, 3.0])
def test_gaps_have_the_rate_and_the_variation_asked_for(module: Any, cv: float) -> None:
    times, source = times_of(module, module.Options(rate=50.0, cv=cv), 1, 20_000.0)
    gaps = np.diff(times)
    assert len(times) / 20_000 == pytest.approx(50, rel=0.03)
    assert gaps.std() / gaps.mean() == pytest.approx(cv, rel=0.05)
    assert not source.any()


@pytest.mark.parametrize("module", [gamma, weibull])
def test_bursty_sources_start_in_their_steady_state(module: Any) -> None:
    """Counts in the first second have the same mean as later ones."""
    times, _ = times_of(module, module.Options(rate=10.0, cv=3.0), 3000, 6.0)
    assert (times < 1).sum() / 3000 == pytest.approx(10, rel=0.08)
    assert ((times >= 5) & (times < 6)).sum() / 3000 == pytest.approx(10, rel=0.08)


def test_bursts_of_a_modulated_process_are_shared_by_all_sources() -> None:
    options = OPEN[3][1]
    times, _ = times_of(mmpp, options, 10, 20_000.0)
    counts = np.histogram(times, bins=20_000, range=(0, 20_000))[0]
    # 10 or 210 requests a second: far more spread than a Poisson process of the same mean.
    assert counts.var() / counts.mean() > 50


def test_a_diurnal_process_follows_the_clock_of_every_day() -> None:
    hours = [0.0] * 24
    hours[9], hours[18] = 1.0, 3.0
    options = diurnal.Options(rate=1.0, hours=hours)
    span = Span(1, 3 * 14 * HOUR_S, start_s=8 * HOUR_S, day_s=14 * HOUR_S)
    times = draw(diurnal, options, span, np.random.default_rng(1)).times
    clock = span.clock(times) % DAY_S
    assert np.unique(span.clock(times) // DAY_S).tolist() == [0, 1, 2]
    assert ((clock >= 8.5 * HOUR_S) & (clock < 19.5 * HOUR_S)).all()
    morning, evening = (clock < 12 * HOUR_S).sum(), (clock > 15 * HOUR_S).sum()
    assert evening / morning == pytest.approx(3, rel=0.05)


def test_periodic_sources_keep_their_period() -> None:
    times, source = times_of(periodic, periodic.Options(period=10.0), 3, 100_000.0)
    for which in range(3):
        np.testing.assert_allclose(np.diff(times[source == which]), 10)
    times, source = times_of(periodic, periodic.Options(period=10.0, jitter=2.0), 2, 100_000.0)
    gaps = np.diff(times[source == 0])
    assert gaps.std() == pytest.approx(2.0 * 2**0.5, rel=0.05)


def test_a_backlog_comes_at_one_moment_of_every_day() -> None:
    span = Span(2, 3 * HOUR_S * 2, start_s=8 * HOUR_S, day_s=3 * HOUR_S)
    options = backlog.Options(count=50_000, after=HOUR_S)
    times, source, _ = draw(backlog, options, span, np.random.default_rng(0))
    assert len(times) == 200_000
    assert np.unique(span.clock(times) / HOUR_S).tolist() == [9.0, 33.0]
    assert np.bincount(source).tolist() == [100_000, 100_000]


def test_a_closed_loop_yields_think_times() -> None:
    assert is_closed(closed_loop)
    assert not is_closed(poisson)
    stream = closed_loop.stream(
        closed_loop.Options(think=2.0), Span(5, 1.0), np.random.default_rng(0)
    )
    assert next(iter(stream))[0].mean() == pytest.approx(2.0, rel=0.03)
    constant = closed_loop.Options(think=2.0, spread="constant")
    stream = closed_loop.stream(constant, Span(5, 1.0), np.random.default_rng(0))
    assert set(next(iter(stream))[0]) == {2.0}


def test_the_day_is_cut_at_the_end_of_the_active_hours() -> None:
    span = Span(1, 20.0, start_s=100.0, day_s=10.0)
    assert span.clock(np.array([0.0, 9.5, 10.0, 19.0])).tolist() == [
        100.0, 109.5, 86_500.0, 86_509.0,
    ]  # fmt: skip


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_a_trace_is_played_as_recorded(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "time_s,size\n100,1\n100.5,2\n103,3\n")
    options = trace.Options(file=path)
    assert times_of(trace, options, 1, 10.0)[0].tolist() == [0.0, 0.5, 3.0]
    assert trace.mean_rate(options, 7) == pytest.approx(1.0)
    assert times_of(trace, options, 1, 1.0)[0].tolist() == [0.0, 0.5]


def test_the_conversation_trace_is_resampled_and_never_stretched() -> None:
    recorded = trace.read(CONVERSATION, "TIMESTAMP")
    assert len(recorded) == 19_366
    assert recorded[-1] == pytest.approx(3501.7, abs=0.1)
    half = trace.Options(file=CONVERSATION, column="TIMESTAMP", rate=2.765)
    double = trace.Options(file=CONVERSATION, column="TIMESTAMP", rate=11.06)
    thin, thick = (times_of(trace, options, 1, 40_000.0)[0] for options in (half, double))
    assert len(thin) / 40_000 == pytest.approx(2.765, rel=0.05)
    assert len(thick) / 40_000 == pytest.approx(11.06, rel=0.05)
    # Stretched, the shortest gaps would grow with the trace; laid over each other, they do not.
    assert np.quantile(np.diff(thin), 0.01) < 2 * np.quantile(np.diff(recorded), 0.02)
    assert np.diff(thick).min() <= np.diff(recorded).min() * 1.01


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("when\n1\n", "no column 'time_s'"),
        ("time_s\n", "holds no arrival"),
        ("", "cannot be read"),
        ("time_s\n1\nsoon\n", r"t\.csv:3: 'soon' is not a time"),
        ("time_s\n2023-11-16 18:15:46.68\n2023-11-16 18:15:45\n", r"t\.csv:3: the trace goes back"),
        ("time_s\n1\n3\n2\n", r"t\.csv:4: the trace goes back in time"),
        ("time_s\nnan\n", "is not a time"),
    ],
)
def test_traces_that_cannot_be_used(tmp_path: Path, text: str, said: str) -> None:
    path = write(tmp_path / "t.csv", text)
    with pytest.raises(InputError, match=said):
        trace.mean_rate(trace.Options(file=path), 1)
    with pytest.raises(InputError, match="cannot be read"):
        trace.mean_rate(trace.Options(file=tmp_path / "none.csv"), 1)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (lambda: diurnal.Options(rate=1.0, hours=[0.0] * 24), "not all zero"),
        (lambda: mmpp.Options(states=[mmpp.Phase(rate=0, mean_length=1)] * 2), "above zero"),
        (lambda: gamma.Options(rate=1.0, cv=0), "greater than 0"),
    ],
)
def test_processes_that_would_never_send(options: Any, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        options()


# --- recorded traces: what they are taken for, and what is left out -------------------------------


def _trace(folder: Path, times: list[str], column: str = "t", **options: Any) -> Any:
    path = write(folder / "t.csv", "\n".join([column, *times]) + "\n")
    return trace.Options(file=path, column=column, **options)


def _workload(**changes: Any) -> Span:
    fields = {"sources": 1, "length_s": DAY_S, "start_s": 0.0, "day_s": DAY_S}
    return Span(**(fields | changes))


def _played(options: Any, span: Span) -> list[float]:
    return draw(trace, options, span, np.random.default_rng(0))[0].tolist()  # type: ignore[no-any-return]


def _kinds(options: Any, span: Span) -> list[str]:
    return [caveat.kind for caveat in trace.caveats(options, span)]


SECONDS = np.cumsum(np.random.default_rng(0).exponential(0.2, 2000)).round(3)


@pytest.mark.parametrize(("unit", "scale"), [("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9)])
@pytest.mark.parametrize("since", [0, 1_700_000_000])
@pytest.mark.parametrize("named", [True, False])
def test_a_trace_is_one_whatever_its_unit(
    tmp_path: Path, unit: Any, scale: int, since: int, named: bool
) -> None:
    """As asked, by the name of the column, or by the size of numbers that count from 1970."""
    thousandths = (SECONDS * 1000).round().astype(int) + since * 1000
    if scale < 1000:
        times = [f"{value // 1000}.{value % 1000:03d}" for value in thousandths.tolist()]
    else:
        times = [str(value * (scale // 1000)) for value in thousandths.tolist()]
    column = f"time_{unit}" if named else "t"
    options = _trace(tmp_path, times, column, unit=None if named or since else unit)
    found = _played(options, _workload())
    # Seconds since 1970 with thousandths are known to a quarter of a millionth.
    assert found == pytest.approx((SECONDS - SECONDS[0]).tolist(), abs=1e-6)
    assert "trace-unit" not in _kinds(options, _workload())
    assert f"taken as {unit}" in trace.description(options)


def test_seconds_that_nothing_says_are_a_guess_that_is_said(tmp_path: Path) -> None:
    options = _trace(tmp_path, ["27.5", "28.5"])
    assert "trace-unit" in _kinds(options, _workload())
    text = next(iter(trace.caveats(options, _workload()))).text
    assert "2 requests over 1 s" in text
    assert "unit: ms" in text
    # 41 days of seconds, or an hour of milliseconds?
    options = _trace(tmp_path, ["27.559", "3540984.507"], rate=0.8)
    with pytest.raises(InputError, match=r"as seconds they would last 41 days, as milliseconds 59"):
        trace.mean_rate(options, 1)
    assert _trace(tmp_path, ["27.559", "3540984.507"], unit="s").unit == "s"
    assert _kinds(_trace(tmp_path, ["27", "27"]), _workload()) == ["trace-is-short"]


def test_what_does_not_fit_into_the_days_is_said(tmp_path: Path) -> None:
    options = _trace(tmp_path, [str(second) for second in range(0, 2 * 86_400, 600)], unit="s")
    one, two, four = (_workload(length_s=days * DAY_S) for days in (1, 2, 4))
    half = next(iter(trace.caveats(options, one)))
    assert half.kind == "trace-left-out"
    assert "144 of 288 (50.0 %) requests of the trace come after the 1 simulated day" in half.text
    assert "simulate: {days: 2} reaches the last" in half.text
    assert (len(_played(options, one)), trace.requests(options, one)) == (144, 144)
    assert _kinds(options, two) == []
    empty = list(trace.caveats(options, four))
    assert [caveat.kind for caveat in empty] == ["trace-is-short"]
    assert "2 of the 4 simulated days have no request" in empty[0].text


@pytest.mark.parametrize(
    "written",
    [
        ["2023-11-16 18:15:46.5", "2023-11-16 18:15:47.5", "2023-11-17 02:00:00.5"],
        ["2023-11-16T18:15:46.5+05:30", "2023-11-16T12:45:47.5Z", "2023-11-17T02:00:00.5+05:30"],
    ],
)
def test_a_trace_with_dates_keeps_its_time_of_day(tmp_path: Path, written: list[str]) -> None:
    clock = [65_746.5, 65_747.5, 86_400 + 7200.5]
    options = _trace(tmp_path, written)
    two = _workload(length_s=2 * DAY_S)
    assert _played(options, two) == pytest.approx(clock)
    assert _played(options, _workload()) == pytest.approx(clock[:2])
    # At the start of the active hours, if that is asked for.
    moved = options.model_copy(update={"time_of_day": False})
    late = _workload(start_s=15 * HOUR_S, length_s=9 * HOUR_S, day_s=9 * HOUR_S)
    assert _played(moved, late) == pytest.approx([0.0, 1.0, clock[2] - clock[0]])
    # The active hours are those of the clock.
    assert _played(options, late) == pytest.approx([clock[0] - 15 * HOUR_S, clock[1] - 15 * HOUR_S])
    early = _workload(start_s=0.0, length_s=6 * HOUR_S, day_s=6 * HOUR_S)
    texts = [caveat.text for caveat in trace.caveats(options, early)]
    assert "1 of 3 (33.3 %) requests of the trace come after the 1 simulated day" in texts[0]
    assert "2 of 3 (66.7 %) requests of the trace come outside of the active hours" in texts[1]
    # A load generator has no clock.
    assert times_of(trace, options, 1, 10.0)[0].tolist() == [0.0, 1.0]


def test_the_time_of_day_of_numbers(tmp_path: Path) -> None:
    """1,700,000,000 s after 1970 it was 22:13:20 in Greenwich."""
    options = _trace(tmp_path, ["1700000000000", "1700000001000"])
    assert _played(options, _workload()) == [0.0, 1.0]
    kept = options.model_copy(update={"time_of_day": True})
    assert _played(kept, _workload()) == [80_000.0, 80_001.0]
    with pytest.raises(InputError, match="has no time of day"):
        _played(_trace(tmp_path, ["1", "2"], time_of_day=True), _workload())


def test_one_arrival_is_one_request(tmp_path: Path) -> None:
    options = _trace(tmp_path, ["5.0"])
    assert _played(options, _workload()) == [0.0]
    assert trace.requests(options, _workload()) == 1
    assert trace.mean_rate(options, 1) == 1.0
    with pytest.raises(InputError, match="one moment only"):
        _played(options.model_copy(update={"rate": 1.0}), _workload())


def test_two_arrivals_are_resampled_to_the_rate(tmp_path: Path) -> None:
    options = _trace(tmp_path, ["0", "10"], rate=0.5, unit="s")
    assert len(_played(options, _workload())) == pytest.approx(0.5 * DAY_S, rel=0.01)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("t\n1.0\n\n2.0\n,\n3.0\n", r"t\.csv:5: the time is missing"),
        ("t\n\n1\n  \n\nsoon\n", r"t\.csv:6: 'soon' is not a time"),
        ("t,u\n1,a\n,b\n", r"t\.csv:3: the time is missing"),
        ('t,u\n1,"a\nb"\n\n3,c\n2,d\n', r"t\.csv:6: the trace goes back"),
        ("t\n1\ninf\n", r"t\.csv:3: 'inf' is not a time"),
        ("t\n2023-11-16 18:15\n18:16\n", r"t\.csv:3: '18:16' is not a time"),
    ],
)
def test_the_line_of_a_fault_counts_the_blank_ones(tmp_path: Path, text: str, said: str) -> None:
    path = write(tmp_path / "t.csv", text)
    with pytest.raises(InputError, match=said) as raised:
        trace.mean_rate(trace.Options(file=path, column="t", unit="s"), 1)
    assert "nan" not in str(raised.value)


def test_a_comma_at_the_end_of_every_line_is_no_column(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "t,\n1,\n2,\n")
    assert trace.read(path, "t").tolist() == [0.0, 1.0]
