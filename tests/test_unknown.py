"""What a plan can say nothing of, put together by what can be done about it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bench.gather import STAND_IN, TODAYS_PRICE, load_profiles, runs_of
from bench.hardware import Catalogue, Device
from bench.plan import Plan, Unknown, together
from bench.prepare import Settings, prepare
from bench.profile import Profile, Refused
from bench.report.plan_tables import plan_tables

ROOT = Path(__file__).parents[1]
QUICKSTART = ROOT / "scenarios" / "quickstart.yaml"
CATALOGUE = Catalogue(ROOT / "hardware_profiles")
BEFORE: dict[str, Any] = {
    "scenario": "s", "verdict": "None.", "objective_met": False, "candidates": 0, "simulated": 0,
    "judged": 0, "dismissed": {}, "too_dear": 0, "within": 1.5, "cheapest": [], "front": [],
    "near_misses": [], "indistinguishable": [],
}  # fmt: skip


def asked() -> tuple[set[str], list[Unknown]]:
    """The offers that something runs on, and what nothing is known of."""
    profiles = load_profiles(ROOT / "reports" / "example")
    runs, _, unknown = runs_of(prepare(QUICKSTART, Settings()), profiles, CATALOGUE)
    return {run.offer.name for run in runs}, unknown


def test_offers_of_one_reason_and_remedy_stand_together() -> None:
    names = ("edge/raspberry-pi-5", "edge/smartphone", "edge/mini-pc", "edge/jetson-thor")
    one, two, three, four = (CATALOGUE.offer(name) for name in names)
    found = together(
        [(two, "old", "ask"), (one, "no", "measure"), (three, "no", "measure"), (four, "no", "ask")]
    )
    assert [(u.reason, u.todo, u.offers) for u in found] == [
        ("no", "measure", [one.name, three.name]),
        ("old", "ask", [two.name]),
        ("no", "ask", [four.name]),
    ]
    assert found[0].devices == ["raspberry-pi-5", "intel-n100-box"]


def test_every_offer_runs_or_is_unknown_once_and_reasons_name_none_of_them() -> None:
    running, unknown = asked()
    left = [offer for one in unknown for offer in one.offers]
    assert sorted([*running, *left]) == sorted(CATALOGUE.offers)
    for one in unknown:
        assert one.todo
        for name in (*CATALOGUE.offers, *CATALOGUE.devices):
            assert name not in one.reason.split(), one.reason
    assert len({(one.reason, one.todo) for one in unknown}) == len(unknown)


def test_devices_that_are_refused_alike_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def projected(self: object, arm: str, device: Device, base: Profile) -> Profile:
        raise Refused("too little is known", where=device.name, todo="Measure it")

    monkeypatch.setattr("bench.profile.Elsewhere.projected", projected)
    one = next(one for one in asked()[1] if one.reason == "too little is known")
    assert one.todo == "Measure it"
    assert {"nvidia-t4", "nvidia-h100-sxm", "raspberry-pi-5"} <= set(one.devices)
    assert len(one.offers) > len(one.devices)


def test_prices_that_are_too_old_and_machines_without_a_device(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    old = {"edge/jetson-thor": "seen long ago", "edge/mini-pc": "seen long ago"}
    monkeypatch.setattr("bench.gather.expired", lambda offers: old)
    unknown = {one.reason: one for one in asked()[1]}
    assert (unknown["seen long ago"].todo, set(unknown["seen long ago"].offers)) == (
        TODAYS_PRICE, set(old),
    )  # fmt: skip
    bare = CATALOGUE.offer("edge/smartphone")
    bare = bare.model_copy(update={"machine": bare.machine.model_copy(update={"device": None})})
    monkeypatch.setattr(CATALOGUE, "offers", {**CATALOGUE.offers, bare.name: bare})
    (one,) = (one for one in asked()[1] if one.todo == STAND_IN)
    assert (one.offers, one.devices) == ([bare.name], [])


def test_the_terminal_has_a_line_for_each() -> None:
    unknown = [
        Unknown(
            reason="no", todo="Measure there", devices=["a", "b"], offers=["p/a", "p/b", "p/c"]
        ),
        Unknown(reason="[red]why[/red]", todo="", devices=[], offers=["p/d"]),
    ]
    console = Console(width=200)
    with console.capture() as capture:
        console.print(plan_tables(Plan(**BEFORE, refused=unknown)))
    assert [line.rstrip() for line in capture.get().splitlines()[-3:]] == [
        "Nothing is known of 4 offers:",
        "–  p/a and 2 more (on a, b): no. Measure there",
        "–  p/d: [red]why[/red]",
    ]


def test_a_plan_of_before_can_be_read() -> None:
    plan = Plan.model_validate(
        BEFORE | {"refused": {"a": "no. Do it.", "b": "x.", "c": "no. Do it."}}
    )
    assert [(one.reason, one.offers) for one in plan.refused] == [
        ("no. Do it.", ["a", "c"]), ("x.", ["b"]),
    ]  # fmt: skip
    assert Plan.model_validate_json(plan.model_dump_json()) == plan
