"""Profiles measured on one machine, kept, and used on another."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bench.at_once import simulate_only
from bench.compare import Comparison
from bench.errors import InputError
from bench.folders import data_folder
from bench.gather import keep_profiles, kept_profiles, load_profiles
from bench.hardware import Catalogue
from bench.pipeline import measure_only, run
from bench.prepare import Settings, prepare
from bench.profile import Profile, keep
from bench.store import Run

pytestmark = pytest.mark.slow

INLINE = Settings(engine="inline", budget="smoke")


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "data"
    shutil.copytree(data_folder("hardware_profiles"), folder / "hardware_profiles")
    monkeypatch.setenv("BENCH_DATA", str(folder))
    return folder / "hardware_profiles"


@pytest.fixture
def measured(data: Path, finished_run: Run) -> Path:
    return finished_run.path


def elsewhere(scenario: Path) -> Path:
    """The scenario as somebody writes it who has no such machine."""
    text = scenario.read_text().replace("device: this-host-one-thread", "device: small-box")
    path = scenario.with_name("elsewhere.yaml")
    path.write_text(text.replace("device: this-host\n", "device: gpu-box\n"))
    return path


def test_kept_profiles_are_simulated_elsewhere(measured: Path, fake_scenario: Path) -> None:
    here = simulate_only(fake_scenario, load_profiles(measured), INLINE)[3]
    keep_profiles(measured, "gpu-box", "this-host")
    keep_profiles(measured, "small-box", "this-host-one-thread")
    there = elsewhere(fake_scenario)
    compared = simulate_only(there, kept_profiles(prepare(there, INLINE), Catalogue()), INLINE)[3]
    assert [e.deployment for e in compared.ranking] == [e.deployment for e in here.ranking]
    assert [e.p99_s for e in compared.ranking] == [e.p99_s for e in here.ranking]


def test_a_kept_device_is_described_by_what_was_measured(measured: Path) -> None:
    profiles = [p for p in load_profiles(measured).values() if p.device == "this-host"]
    seen = {"cpu": "a CPU", "cores_logical": 16, "gpu": {"gpu": "NVIDIA X1"}}
    keep([p.model_copy(update={"environment": seen}) for p in profiles], "x1", Catalogue())
    device = Catalogue().device("x1")
    assert device.title == "NVIDIA X1 in a machine with a CPU, 16 logical cores"
    assert not device.here
    kept = load_profiles(Catalogue().kept("x1", "synthetic"))
    assert {p.device for p in kept.values()} == {"x1"}
    assert all(name.endswith("@x1") for name in kept)


def test_another_machine_is_not_measured_here(measured: Path, fake_scenario: Path) -> None:
    keep_profiles(measured, "gpu-box", "this-host")
    keep_profiles(measured, "small-box", "this-host-one-thread")
    with pytest.raises(InputError, match="gpu-box is another machine"):
        measure_only(elsewhere(fake_scenario), measured.parent / "other", INLINE)
    assert not (measured.parent / "other").exists()


def test_a_run_takes_what_was_kept_of_other_machines(measured: Path, fake_scenario: Path) -> None:
    here = simulate_only(fake_scenario, load_profiles(measured), INLINE)[3]
    keep_profiles(measured, "gpu-box", "this-host")
    text = fake_scenario.read_text().replace("device: this-host\n", "device: gpu-box\n")
    fake_scenario.write_text(text)
    done = run(fake_scenario, measured.parent / "other", INLINE)
    compared = done.load("comparison.json", Comparison)
    by_name = {entry.deployment: entry for entry in compared.ranking}
    cloud = next(entry for entry in here.ranking if entry.deployment == "cloud")
    assert by_name["cloud"].p99_s == cloud.p99_s
    assert {p.device for p in load_profiles(done.path).values()} == {
        "gpu-box", "this-host-one-thread",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "device", "complaint"),
    [
        ("../x", "this-host", "cannot be the name of a device"),
        ("this-host", "this-host", "whichever machine"),
        ("box", None, "several devices"),
        ("box", "nvidia-x1", "unknown device"),
    ],
)
def test_what_cannot_be_kept(measured: Path, name: str, device: str | None, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        keep_profiles(measured, name, device)


def test_an_invalid_profile_is_not_kept(measured: Path, data: Path) -> None:
    profile: Profile = next(iter(load_profiles(measured).values()))
    bad = profile.model_copy(update={"status": "invalid", "status_reason": "a cache"})
    with pytest.raises(InputError, match="INVALID and cannot be kept: a cache"):
        keep([bad], "box", Catalogue())
    assert not (data / "devices" / "box.yaml").exists()


def test_where_nothing_is_kept_a_run_is_asked_for(data: Path, fake_scenario: Path) -> None:
    with pytest.raises(InputError, match=r"no profiles of synthetic on this-host .*--profiles RUN"):
        kept_profiles(prepare(fake_scenario, INLINE), Catalogue())


def test_profiles_of_another_task_are_refused(measured: Path, fake_scenario: Path) -> None:
    profiles = {
        name: profile.model_copy(update={"task": "text-recognition"})
        for name, profile in load_profiles(measured).items()
    }
    with pytest.raises(InputError, match="of another task: text-recognition, not synthetic"):
        simulate_only(fake_scenario, profiles, INLINE)
