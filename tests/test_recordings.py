"""Recordings of services: the forms they come in, which lines are meant, and when requests came."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from bench import extensions, recordings
from bench.arrivals import Span, draw, trace
from bench.errors import InputError
from bench.folders import data_folder
from bench.observe import OBSERVED
from bench.recordings import _lines
from bench.units import DAY_S

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
ONE_DAY = Span(1, DAY_S, day_s=DAY_S)


class Asked(NamedTuple):
    """A request, in whole milliseconds since noon."""

    at: int
    took: int = 0
    size: int = 1
    path: str = "/v2/models/m/infer"
    status: int = 200

    @property
    def start(self) -> datetime:
        return NOON + timedelta(milliseconds=self.at)

    @property
    def end(self) -> datetime:
        return NOON + timedelta(milliseconds=self.at + self.took)


def clf(moment: datetime) -> str:
    return moment.strftime("%d/%b/%Y:%H:%M:%S +0000")


def in_ms(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")


def nginx(one: Asked, rest: str = ' "-" "curl/8 \\"x\\""', took: str | None = None) -> str:
    """A line of a log whose time is that of the end."""
    took = f" {one.took / 1000:.3f}" if took is None else took
    line = f'10.0.0.1 - - [{clf(one.end)}] "POST {one.path} HTTP/1.1" {one.status} {one.size}'
    return line + rest + took


def apache(one: Asked) -> str:
    """The time is that of the start, and the response time in microseconds."""
    line = f'host - me [{clf(one.start)}] "GET {one.path}?q=1 HTTP/1.1" {one.status} -'
    return f"{line} {1000 * one.took}"


def traefik(one: Asked) -> str:
    line = f'10.0.0.1 - - [{clf(one.start)}] "POST {one.path} HTTP/2.0" {one.status} 7'
    return f'{line} "-" "-" 17 "router@docker" "http://10.0.0.9:80" {one.took}ms'


def csv(one: Asked) -> str:
    return f"{one.start.timestamp():.3f},{one.size},{one.took},{one.path},{one.status}"


def plain_json(one: Asked) -> str:
    said = {
        "when": in_ms(one.start),
        "ask": {"size": one.size, "to": one.path},
        "ms": one.took,
    }
    return json.dumps(said)


def nginx_json(one: Asked) -> str:
    return json.dumps(
        {"msec": f"{one.end.timestamp():.3f}", "request_time": f"{one.took / 1000:.3f}",
         "uri": one.path, "status": str(one.status)}
    )  # fmt: skip


def envoy(one: Asked) -> str:
    return json.dumps(
        {"start_time": in_ms(one.start), "duration": one.took,
         "path": one.path, "response_code": one.status}
    )  # fmt: skip


def traefik_json(one: Asked) -> str:
    return json.dumps(
        {"StartUTC": in_ms(one.start), "Duration": one.took * 1_000_000,
         "RequestPath": one.path, "DownstreamStatus": one.status}
    )  # fmt: skip


def caddy(one: Asked) -> str:
    return json.dumps(
        {"level": "info", "ts": one.end.timestamp(), "duration": one.took / 1000,
         "request": {"uri": one.path}, "status": one.status}
    )  # fmt: skip


HEADER = "time_s,size,took_ms,path,code"
MINE: dict[str, Any] = {"column": "when", "response": "ms", "stamp": "start"}
FORMS: dict[str, tuple[Callable[[Asked], str], dict[str, Any], float]] = {
    "csv": (csv, {}, 0.0),
    "nginx": (nginx, {}, 1.0),
    "nginx, common": (lambda one: nginx(one, ""), {}, 1.0),
    "nginx, more": (
        lambda one: nginx(one, ' "-" "-"', f' "1.2.3.4" rt={one.took / 1000:.3f} "0.1"'), {}, 1.0,
    ),
    "nginx, ingress": (
        lambda one: nginx(one, ' "-" "-"', f" 812 {one.took / 1000:.3f} [up] 10.0.0.2:80"),
        {"response": "extra2", "response_unit": "s", "stamp": "end"}, 1.0,
    ),
    "apache": (apache, {}, 1.0),
    "traefik": (traefik, {}, 1.0),
    "plain json": (plain_json, MINE, 0.0),
    "nginx json": (nginx_json, {}, 0.0),
    "envoy": (envoy, {}, 0.0),
    "traefik json": (traefik_json, {}, 0.0),
    "caddy": (caddy, {}, 0.0),
}  # fmt: skip
"""How a line is written, what has to be said to read it, and how far off its times may be, in seconds."""


def written(
    folder: Path, asked: Sequence[Asked], form: str = "nginx", **options: Any
) -> trace.Options:
    """A log is in the order of the ends; a table in that of the starts."""
    line, more, _ = FORMS[form]
    by: Callable[[Asked], int] = (
        (lambda one: one.at) if form == "csv" else (lambda one: one.at + one.took)
    )
    lines = [line(one) for one in sorted(asked, key=by)]
    return said(folder, [HEADER, *lines] if form == "csv" else lines, **more, **options)


def said(folder: Path, lines: Sequence[str], name: str = "access.log", **options: Any) -> Any:
    path = folder / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return trace.Options(file=path, **options)


def clock_of(options: trace.Options, seed: int = 0) -> Any:
    """Seconds since noon."""
    kept = options.model_copy(update={"time_of_day": True})
    return draw(trace, kept, ONE_DAY, np.random.default_rng(seed)).times - 12 * 3600


def kinds(options: trace.Options) -> list[str]:
    left = {"trace-is-short"}
    return [c.kind for c in trace.caveats(options, ONE_DAY) if c.kind not in left]


def refused(options: trace.Options) -> str:
    with pytest.raises(InputError) as raised:
        trace.mean_rate(options, 1)
    return str(raised.value)


SOME = [Asked(0, 2500, 3), Asked(400, 100, 7), Asked(1900, 100, 5), Asked(9000, 1, 9)]
requests = st.lists(
    st.tuples(st.integers(0, 60_000), st.integers(0, 5000)).map(lambda drawn: Asked(*drawn)),
    min_size=1, max_size=30,
)  # fmt: skip


# Every form ----------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
def test_a_form_is_known_by_its_lines(tmp_path: Path, form: str) -> None:
    options = written(tmp_path, SOME, form)
    off = FORMS[form][2]
    assert clock_of(options) == pytest.approx([0.0, 0.4, 1.9, 9.0], abs=off + 1e-6)
    took = trace.responses(options)
    assert sorted(took) == ([] if form == "csv" else [0.001, 0.1, 0.1, 2.5])
    assert kinds(options) == (["trace-seconds"] if off else [])


@given(asked=requests)
@settings(max_examples=12, derandomize=True)
def test_the_same_requests_are_the_same_in_every_form(
    tmp_path_factory: pytest.TempPathFactory, asked: list[Asked]
) -> None:
    folder = tmp_path_factory.mktemp("forms")
    true = sorted(one.at / 1000 for one in asked)
    for form, (_, _, off) in FORMS.items():
        options = written(folder, asked, form)
        found = clock_of(options)
        assert found == pytest.approx(true, abs=off + 1e-6), form
        assert (np.diff(found) >= 0).all()
        if form != "csv":
            assert sorted(trace.responses(options)) == sorted(one.took / 1000 for one in asked)


def test_every_member_is_tested_here() -> None:
    assert extensions.names(recordings.FOLDER) == ["combined", "common", "csv", "jsonl", "rows"]
    for name in extensions.names(recordings.FOLDER):
        assert f"{name} (" in recordings.in_words()


def rows(**columns: Any) -> pd.DataFrame:
    table = np.zeros(len(next(iter(columns.values()))), OBSERVED)
    for name, values in columns.items():
        table[name] = values
    return pd.DataFrame(table)


def test_rows_that_were_observed_are_a_trace(tmp_path: Path) -> None:
    seconds = 1_000_000_000
    table = rows(
        arrival=[7 * seconds, 8 * seconds, 10 * seconds],
        finished=[8 * seconds, 8 * seconds + 5, 12 * seconds],
        status=[200, 0, 503],
        size=[4.0, 6.0, 2.0],
    ).assign(block=[1, 1, 2])
    table.to_parquet(tmp_path / "observed.parquet")
    options = trace.Options(file=tmp_path / "observed.parquet")
    times, _, sizes = draw(trace, options, Span(1, 10.0), np.random.default_rng(0))
    assert (times.tolist(), sizes.tolist()) == ([0.0, 1.0, 3.0], [4.0, 6.0, 2.0])
    assert np.nan_to_num(trace.responses(options), nan=-1).tolist() == [1.0, -1.0, -1.0]
    assert "observed rows, numbers taken as ns (as asked)" in trace.description(options)
    second = options.model_copy(update={"only": {"block": 2}})
    assert trace.sizes(second).tolist() == [2.0]
    # Sizes of 0 are those of a task without any.
    table.assign(size=0.0).to_parquet(tmp_path / "observed.parquet")
    assert len(trace.sizes(options)) == 0


def test_any_parquet_with_a_time_is_a_trace(tmp_path: Path) -> None:
    when = pd.to_datetime(["2026-11-24 12:00:00.5", "2026-11-24 12:00:02.0"], utc=True)
    path = tmp_path / "mine.parquet"
    pd.DataFrame({"when": when, "pages": [3, 4], "code": [200, 500]}).to_parquet(path)
    options = trace.Options(file=path, column="when", sizes="pages")
    assert clock_of(options).tolist() == [0.5, 2.0]
    assert trace.sizes(options).tolist() == [3.0, 4.0]
    answered = options.model_copy(update={"status": "code"})
    assert len(clock_of(answered)) == 1
    assert "nothing says which field" in refused(trace.Options(file=path))
    assert "no column 'whne'. Allowed: when, pages, code" in refused(
        trace.Options(file=path, column="whne")
    )
    path.write_bytes(path.read_bytes()[:-20])
    assert "cannot be read" in refused(options.model_copy(update={"file": path}))


@pytest.mark.parametrize("form", ["csv", "nginx", "envoy"])
def test_a_packed_file_is_as_good(tmp_path: Path, form: str) -> None:
    options = written(tmp_path, SOME, form)
    packed = tmp_path / "log.1.gz"
    packed.write_bytes(gzip.compress(options.file.read_bytes()))
    there = options.model_copy(update={"file": packed})
    assert clock_of(there).tolist() == clock_of(options).tolist()
    packed.write_bytes(packed.read_bytes()[:-9])
    assert "cannot be read" in refused(there)


def test_what_unpacks_to_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_lines, "MOST_UNPACKED", 1000)
    lines = "\n".join(nginx(one) for one in SOME * 100)
    (tmp_path / "log.gz").write_bytes(gzip.compress(lines.encode()))
    assert "unpacks to more" in refused(trace.Options(file=tmp_path / "log.gz"))


# Which lines are meant -----------------------------------------------------------------------

MIXED = [
    *SOME,
    Asked(100, path="/v2/models/n/infer"),
    Asked(200, path="/metrics"),
    Asked(300, status=404),
    Asked(350, status=503),
]


@pytest.mark.parametrize("form", ["nginx", "apache", "envoy", "caddy"])
def test_only_the_requests_asked_for_count(tmp_path: Path, form: str) -> None:
    options = written(tmp_path, MIXED, form)

    def number(**changes: Any) -> tuple[int, str]:
        other = options.model_copy(update=changes)
        texts = [c.text for c in trace.caveats(other, ONE_DAY) if c.kind == "trace-lines"]
        return len(clock_of(other)), "".join(texts)

    count, text = number()
    assert count == 6
    assert "of 8 lines, 2 have no status below 400 (failed: true keeps them)" in text
    assert number(failed=True) == (8, "")
    count, text = number(path="/v2/models/m/infer")
    assert count == 4
    assert "of 8 lines, 2 are not those asked for (path, only), 2 have no status" in text
    assert number(path="/v2/*")[0] == 5
    assert number(path="/v2/*", failed=True)[0] == 7
    text = refused(options.model_copy(update={"path": "/v3/*"}))
    assert "holds no arrival (of 8 lines, 8 are not those asked for" in text


def test_any_field_can_be_asked_for(tmp_path: Path) -> None:
    options = written(tmp_path, MIXED, "plain json", only={"ask.to": "/v2/*", "ask.size": 1})
    assert len(clock_of(options)) == 3
    table = written(tmp_path, MIXED, "csv", only={"path": "/metrics"}, status="code")
    assert len(clock_of(table)) == 1
    posts = written(tmp_path, MIXED, "nginx", only={"method": "GET"})
    assert "8 are not those asked for" in refused(posts)
    assert "which field of the trace is the path" in refused(
        written(tmp_path, MIXED, "csv", path="/metrics")
    )


@pytest.mark.parametrize("form", ["nginx", "envoy"])
def test_a_few_lines_of_another_form_are_left_out_and_counted(tmp_path: Path, form: str) -> None:
    line = FORMS[form][0]
    good = [line(Asked(place)) for place in range(300)]
    torn = ["# rotated", *good, "", "x" * (_lines.LONGEST + 1), good[0][:40]]
    options = said(tmp_path, torn)
    text = next(c.text for c in trace.caveats(options, ONE_DAY) if c.kind == "trace-lines")
    assert text.startswith("of 303 lines, 3 are of another form (the first: 1)")
    assert len(clock_of(options)) == 300
    text = refused(said(tmp_path, [*good, *["nonsense"] * 9]))
    assert "access.log:301: 9 of 309 lines are not" in text


@pytest.mark.parametrize(
    ("lines", "options", "text"),
    [
        (["nonsense", "more"], {}, "no column 'time_s'. Allowed: nonsense. If it is no CSV file"),
        (["nonsense"], {"form": "combined"}, "does not begin as the Combined Log Format does"),
        (["\0\0\0"], {}, "cannot be told in which form the trace is. Allowed: combined (the"),
        ([nginx(SOME[0])], {"form": "jsonl"}, "does not begin as JSON lines"),
        ([nginx(SOME[0]).replace("Nov", "Nov.")], {}, "access.log:1: '24/Nov./2026:12:00:02 +0000"),
        ([nginx(SOME[0], "", " -")], {"response": "extra1"}, "began, or when they ended"),
        ([nginx(SOME[0], "", " -")], {"response": "extra1", "stamp": "end"}, "numbers in 'extra1'"),
        (
            [nginx(SOME[0], "", " -")],
            {"response": "extra1", "stamp": "end", "response_unit": "s"},
            "access.log:1: the column 'extra1' holds what is no response time",
        ),
        ([nginx(SOME[0])], {"sizes": "tokens"}, "has the field 'tokens'. Allowed: host, ident, user"),
        ([plain_json(SOME[0])], {}, "which field of the trace is the time. Allowed: when, ask.size"),
        ([plain_json(SOME[0])], {"column": "whne"}, "has the field 'whne'. Allowed: when, ask.size"),
        (
            [plain_json(one) for one in SOME] + ['{"when": "late"}'], MINE | {"response": None},
            "access.log:5: 'late' is not a time",
        ),
        ([plain_json(SOME[0]), '{"event": "x"}'], MINE, "access.log:2: the time is missing"),
        (['{"a":' * 9000, "1"], {}, "no column 'time_s'"),
        (["[1]", "2"], {"form": "jsonl"}, "does not begin as"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_said_with_its_line(
    tmp_path: Path, lines: list[str], options: dict[str, Any], text: str
) -> None:
    assert text in refused(said(tmp_path, lines, **options))


def test_a_form_that_there_is_not_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="auto, combined, common, csv, jsonl, rows; jsonl"):
        trace.Options(file=tmp_path / "x", form="json")


def test_an_empty_file_and_one_of_blank_lines_hold_nothing(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"")
    assert "cannot be read (the file is empty)" in refused(trace.Options(file=tmp_path / "log"))
    (tmp_path / "log.gz").write_bytes(gzip.compress(b""))
    assert "cannot be read" in refused(trace.Options(file=tmp_path / "log.gz"))
    assert "no column" in refused(said(tmp_path, ["", "  ", ""]))


# When requests came --------------------------------------------------------------------------


def test_a_log_goes_back_and_a_table_may_not(tmp_path: Path) -> None:
    """Lines come when requests end, and then with the times of their starts."""
    lines = [apache(Asked(3000, 1)), apache(Asked(0, 5000))]
    assert np.floor(clock_of(said(tmp_path, lines))).tolist() == [0.0, 3.0]
    table = ["time_s", "3", "0"]
    assert "goes back in time" in refused(said(tmp_path, table))


def test_the_end_is_a_response_time_after_the_start(tmp_path: Path) -> None:
    """Whoever says that the times of a table are ends has them counted back, and in order."""
    lines = ["end_s,ms", "1000,500", "1001,9000", "1003,0"]
    options = said(tmp_path, lines, column="end_s", response="ms", stamp="end")
    assert draw(trace, options, Span(1, 99.0), np.random.default_rng(0)).times.tolist() == [
        0.0, 7.5, 11.0,
    ]  # fmt: skip
    assert trace.responses(options).tolist() == [9.0, 0.5, 0.0]
    assert "less 'ms' (ms)" in trace.description(options)
    started = options.model_copy(update={"stamp": None})
    assert trace.read(options.file, "end_s").tolist() == [0.0, 1.0, 3.0]
    assert trace.responses(started).tolist() == [0.5, 9.0, 0.0]


def test_whole_seconds_are_spread_as_asked(tmp_path: Path) -> None:
    asked = [Asked(0)] * 4 + [Asked(2000)] * 2
    lines = [nginx(one, ' "-" "-"', "") for one in asked]

    def placed(seed: int = 0, **options: Any) -> Any:
        return clock_of(said(tmp_path, lines, **options), seed)

    assert placed(spread="even").tolist() == [0.125, 0.375, 0.625, 0.875, 2.25, 2.75]
    assert placed(spread="none").tolist() == [0.0] * 4 + [2.0] * 2
    drawn, again, other = placed(), placed(), placed(1)
    assert np.floor(drawn).tolist() == [0.0] * 4 + [2.0] * 2
    assert len(set(drawn)) == 6
    assert drawn.tolist() == again.tolist() != other.tolist()
    assert kinds(said(tmp_path, lines)) == ["trace-seconds", "trace-ends"]
    assert kinds(said(tmp_path, lines, spread="none")) == ["trace-ends"]
    # A table is played as it is written.
    table = ["time_s", "100", "100", "102"]
    assert trace.read(said(tmp_path, table).file, "time_s").tolist() == [0.0, 0.0, 2.0]


def test_at_random_within_a_second_is_a_poisson_process(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    true = np.cumsum(rng.exponential(0.05, 20_000))
    lines = [nginx(Asked(int(1000 * at)), ' "-" "-"', "") for at in true]
    gaps = np.diff(clock_of(said(tmp_path, lines)))
    assert gaps.std() / gaps.mean() == pytest.approx(1.0, abs=0.03)


def test_drawn_seconds_queue_as_those_that_were_recorded(tmp_path: Path) -> None:
    """A trace whose times are exact, cut to seconds; one server takes 100 ms for each request."""
    true = trace.read(
        data_folder("scenarios") / "traces" / "azure-conversation-2023.csv", "TIMESTAMP"
    )
    lines = [nginx(Asked(int(1000 * at)), ' "-" "-"', "") for at in true]

    def p99(times: Any) -> float:
        free, took = 0.0, []
        for at in times.tolist():
            free = max(at, free) + 0.1
            took.append(free - at)
        return float(np.percentile(took, 99))

    found = {
        spread: p99(clock_of(said(tmp_path, lines, spread=spread)))
        for spread in ("random", "even", "none")
    }
    assert found["random"] == pytest.approx(p99(true), rel=0.03)
    assert found["even"] < 0.8 * p99(true)
    assert found["none"] > 1.5 * p99(true)


def test_sizes_go_with_their_requests(tmp_path: Path) -> None:
    """However they are placed and sorted: a size says which second it belongs to."""
    asked = [Asked(1000 * k, 250 * (k % 7), size=k + 1) for k in range(200)]
    for form, field in (("nginx", "bytes"), ("plain json", "ask.size"), ("csv", "size")):
        options = written(tmp_path, asked, form, sizes=field, time_of_day=True)
        for seed in (0, 1):
            drawn = draw(trace, options, ONE_DAY, np.random.default_rng(seed))
            off = FORMS[form][2]
            assert drawn.times - 12 * 3600 == pytest.approx(drawn.size - 1, abs=off + 1e-6)
        assert sorted(trace.sizes(options)) == [one.size for one in asked]
    bad = written(tmp_path, [*asked, Asked(9, size=0)], "nginx", sizes="bytes")
    assert "holds what is no size" in refused(bad)


def test_a_resampled_log_has_its_rate(tmp_path: Path) -> None:
    asked = [Asked(500 * k, 700) for k in range(400)]
    options = written(tmp_path, asked, "nginx", rate=10.0, window=20.0)
    times = draw(trace, options, Span(1, 2000.0), np.random.default_rng(0)).times
    assert len(times) / 2000 == pytest.approx(10, rel=0.05)


def test_what_began_the_day_before_comes_at_midnight(tmp_path: Path) -> None:
    """A log of a day has requests of the day before: they are no reason to simulate that."""
    midnight = Asked(-12 * 3_600_000 + 500, 0)
    late = Asked(midnight.at - 3000, 4000)
    options = written(tmp_path, [late, midnight, Asked(0)], "nginx json")
    assert (clock_of(options) + 12 * 3600).tolist() == pytest.approx([0.0, 0.5, 12 * 3600])
    assert trace.days(options.model_copy(update={"time_of_day": True}), ONE_DAY) == 1
    with_dates = written(tmp_path, [late, midnight, Asked(0)], "nginx")
    assert trace.days(with_dates, ONE_DAY) == 1
    assert trace.days(with_dates.model_copy(update={"rate": 1.0}), ONE_DAY) is None


def test_lines_of_several_chunks_are_one_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = [Asked(700 * k, 100 * (k % 9), size=k + 1) for k in range(100)]
    whole = {form: clock_of(written(tmp_path, asked, form, only={}, window=9.0)) for form in FORMS}
    monkeypatch.setattr(recordings, "ROWS", 7)
    monkeypatch.setattr("bench.recordings.csv.ROWS", 7)
    monkeypatch.setattr(_lines, "BLOCK", 501)
    for form, found in whole.items():
        folder = tmp_path / form
        folder.mkdir()
        assert clock_of(written(folder, asked, form)).tolist() == found.tolist()
    back = ["t,u", *[f'{k},"a\nb"' for k in range(10)], "", "3,c"]
    assert "access.log:23: the trace goes back" in refused(said(tmp_path, back, column="t"))


# Whatever is in a file -----------------------------------------------------------------------

ODD = (
    b"\0", b"\xff\xfe", b"\r", b"\n\n", b'"', b"[", b"]", b"{", b"\\", b" -", b"1e999", b"-1", b"NaN",
    b"9" * 400, b"[" * 3000, b'{"a":' * 3000, "٣".encode(), "\u2028".encode(), b"null", b"true",
    b"0001-01-01T00:00:00", b"9999-12-31T23:59:59.999999999", b"\x1f\x8b",
)  # fmt: skip


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    for _ in range(rng.integers(1, 4)):
        place, length = (int(n) for n in (rng.integers(0, len(data) + 1), rng.integers(0, 9)))
        new = ODD[rng.integers(len(ODD))] if rng.random() < 0.7 else b""
        data = data[:place] + new + data[place + length :]
    return data


@pytest.mark.parametrize("form", [*FORMS, "rows"])
def test_a_damaged_file_is_read_or_refused(tmp_path: Path, form: str) -> None:
    """Never anything else: no other error, no hang, no times that go back or are none."""
    rng = np.random.default_rng(7)
    number = int(os.environ.get("BENCH_DAMAGED", "25"))
    asked = [Asked(900 * k, 70 * k) for k in range(12)]
    if form == "rows":
        rows(arrival=np.arange(12) * 10**9, status=[200] * 12).to_parquet(tmp_path / "whole")
        options = trace.Options(file=tmp_path / "whole")
    else:
        options = written(tmp_path, asked, form)
    whole = options.file.read_bytes()
    refusals: list[str] = []
    for place in range(number):
        other = tmp_path / f"damaged{place}"
        other.write_bytes(mutated(whole, rng))
        try:
            found = options.model_copy(update={"file": other})
            times = draw(trace, found, Span(1, 1e12), np.random.default_rng(0)).times
            assert np.isfinite(times).all()
            assert (np.diff(times) >= 0).all()
            assert trace.description(found)
            list(trace.caveats(found, ONE_DAY))
        except InputError as error:
            refusals.append(str(error))
    assert refusals
    assert all(str(tmp_path) in text for text in refusals)
