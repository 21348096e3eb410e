"""Arrival processes: their rates, their burstiness, and traces that cannot be used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.arrivals import gamma, poisson, trace
from bench.errors import InputError


def test_gamma_gaps_have_the_rate_and_the_variation_asked_for() -> None:
    for cv in (0.5, 1.0, 3.0):
        options = gamma.Options(rate=50.0, cv=cv)
        times, source = gamma.draw(options, 1, 4000.0, np.random.default_rng(1))
        gaps = np.diff(times)
        assert len(times) / 4000 == pytest.approx(50, rel=0.05)
        assert gaps.std() / gaps.mean() == pytest.approx(cv, rel=0.05)
        assert not source.any()


def test_gamma_starts_in_its_steady_state() -> None:
    """Counts in the first second have the same mean as later ones, for bursty arrivals too."""
    rng = np.random.default_rng(2)
    options = gamma.Options(rate=10.0, cv=3.0)
    first, later = [], []
    for _ in range(3000):
        times, _ = gamma.draw(options, 1, 6.0, rng)
        first.append((times < 1).sum())
        later.append(((times >= 5) & (times < 6)).sum())
    assert np.mean(first) == pytest.approx(10, rel=0.08)
    assert np.mean(later) == pytest.approx(10, rel=0.08)


def test_several_sources_come_in_order_with_their_names() -> None:
    for module, options in ((gamma, gamma.Options(rate=5.0)), (poisson, poisson.Options(rate=5.0))):
        times, source = module.draw(options, 4, 100.0, np.random.default_rng(3))
        assert (np.diff(times) >= 0).all()
        assert set(source) == {0, 1, 2, 3}


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_a_trace_is_replayed_as_recorded(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "time_s,size\n100,1\n100.5,2\n103,3\n")
    options = trace.Options(file=path, speed=2.0)
    times, _ = trace.draw(options, 1, 10.0, np.random.default_rng(0))
    assert times.tolist() == [0.0, 0.25, 1.5]
    assert trace.mean_rate(options) == pytest.approx(2.0)
    assert trace.draw(options, 1, 1.0, np.random.default_rng(0))[0].tolist() == [0.0, 0.25]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("when\n1\n", "no column 'time_s'"),
        ("time_s\n", "holds no arrival"),
        ("time_s\n1\nsoon\n", r"t\.csv:3: 'soon' is not a time"),
        ("time_s\n1\n3\n2\n", r"t\.csv:4: the trace goes back in time"),
        ("time_s\nnan\n", "is not a time"),
    ],
)
def test_traces_that_cannot_be_used(tmp_path: Path, text: str, said: str) -> None:
    path = write(tmp_path / "t.csv", text)
    with pytest.raises(InputError, match=said):
        trace.mean_rate(trace.Options(file=path))
    with pytest.raises(InputError, match="cannot be read"):
        trace.mean_rate(trace.Options(file=tmp_path / "none.csv"))
