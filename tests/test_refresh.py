"""Prices seen elsewhere: which are believed, and the patch that puts them into the catalogue."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from bench.errors import InputError, MissingRequirement, UnknownName
from bench.hardware import Catalogue, RentedOffer
from bench.hardware.refresh import PriceChange, Refresh, as_patch, live_items, refresh

TODAY = date(2026, 11, 20)
GCP = """\
# What Google asks.
schema_version: 1
provider: google-cloud
location: cloud
currency: USD
tax: excluded
billing: {granularity: 1 s, minimum: 60 s}
offers:
  # One L4.
  - sku: g2-standard-4
    title: "1 × L4: 4 vCPU"   # a title with a colon
    kind: rented
    region: us-central1
    tier: on_demand
    vcpus: 4
    memory_gib: 16
    device: nvidia-l4
    accelerators: 1
    rate:
      price: $0.70/h  # undated
      provenance: published
      source: >-
        a price list
        of two lines
      note: kept as it is
  - {sku: g2-standard-4, title: spot, kind: rented, region: us-central1, tier: spot, vcpus: 4,
     memory_gib: 16, device: nvidia-l4, accelerators: 1,
     rate: {price: "$0.28/h", low: $0.25/h, high: $0.30/h, provenance: published, source: 'a list'}}
"""
AWS = """\
schema_version: 1
provider: aws
location: cloud
currency: USD
tax: excluded
billing: {granularity: 1 s, minimum: 60 s}
offers:
  - sku: c7i.xlarge
    title: 4 vCPU
    kind: rented
    region: us-east-1
    tier: on_demand
    vcpus: 4
    memory_gib: 8
    rate: &rate
      price: $0.1785/h
      provenance: published
      source: a list
      as_of: 2026-01-02
  - sku: c7i.xlarge
    title: for a year
    kind: rented
    region: us-east-1
    tier: reserved
    term_months: 12
    vcpus: 4
    memory_gib: 8
    rate: {price: $0.11/h, provenance: published, source: a list}"""
CIVO = """\
schema_version: 1
provider: civo
location: cloud
currency: USD
tax: excluded
billing: {granularity: 1 h, minimum: 1 h}
offers:
  - {sku: small, title: small, kind: rented, region: any, tier: on_demand, vcpus: 2, memory_gib: 4,
     rate: {price: $21.73/month, provenance: published, source: a list}}
"""
L4 = "google-cloud/g2-standard-4/us-central1/on-demand"
L4_SPOT = "google-cloud/g2-standard-4/us-central1/spot"
C7I = "aws/c7i.xlarge/us-east-1/on-demand"


@dataclass(frozen=True)
class Row:
    """A made-up row of gpuhunt's."""

    provider: str = "gcp"
    instance_name: str = "g2-standard-4"
    location: str = "us-central1-a"
    price: float = 0.71
    spot: bool = False
    cpu: int = 4
    memory: float = 16.0
    gpu_name: str | None = "L4"
    gpu_count: int = 1
    flags: list[str] = field(default_factory=list)


ON_DEMAND = Row()
SPOT = Row(spot=True, price=0.22)
CPU = Row("aws", "c7i.xlarge", "us-east-1", 0.1785, memory=8, gpu_name=None, gpu_count=0)


@pytest.fixture
def known(tmp_path: Path) -> Catalogue:
    folder = tmp_path / "repository" / "hardware_profiles"
    (folder / "offers").mkdir(parents=True)
    for name, text in (("gcp", GCP), ("aws", AWS), ("civo", CIVO)):
        (folder / "offers" / f"{name}.yaml").write_bytes(text.encode())
    return Catalogue(folder)


def changed(result: Refresh) -> dict[str, str]:
    return {change.offer: str(change.new) for change in result.changes}


def applied(known: Catalogue, patch: str) -> Catalogue:
    """The catalogue after ``git apply`` in a repository that holds it."""
    root = known.folder.parent
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    subprocess.run(["git", "apply", "-"], cwd=root, input=patch.encode(), check=True)
    return Catalogue(known.folder)


# --- what is believed ----------------------------------------------------------------------------


def test_same_provider_machine_region_and_tier(known: Catalogue) -> None:
    others = [
        replace(ON_DEMAND, location="us-central2-a", price=0.5),
        replace(ON_DEMAND, instance_name="g2-standard-8", price=0.5),
        replace(ON_DEMAND, provider="aws", price=0.5),
        replace(CPU, provider="azure", price=0.1),
        replace(CPU, location="us-east-1-atl-1", price=0.1),
    ]
    result = refresh(known, [*others, ON_DEMAND, SPOT], TODAY)
    assert changed(result) == {L4: "0.71", L4_SPOT: "0.22"}
    assert result.rejected == []
    change = next(change for change in result.changes if change.offer == L4)
    assert (change.old, change.as_of) == (Decimal("0.70"), TODAY)
    assert "gpuhunt" in change.source


def test_the_dearest_of_a_regions_zones(known: Catalogue) -> None:
    rows = [replace(SPOT, location=f"us-central1-{zone}", price=price)
            for zone, price in (("a", 0.21), ("b", 0.24), ("c", 0.23))]  # fmt: skip
    assert changed(refresh(known, rows, TODAY)) == {L4_SPOT: "0.24"}


def test_a_price_that_stayed_is_confirmed_unless_it_was_seen_today(known: Catalogue) -> None:
    rows = [replace(CPU, price=0.17850000000000002)]
    (change,) = refresh(known, rows, TODAY).changes
    assert change.confirmed
    assert not change.jump
    assert change.new == Decimal("0.1785")
    assert refresh(known, rows, date(2026, 1, 2)).changes == []


@pytest.mark.parametrize(
    ("price", "jump"),
    [(0.35, False), (0.349, True), (1.40, False), (1.401, True), (0.70, False)],
)
def test_a_jump_is_listed_and_flagged(known: Catalogue, price: float, jump: bool) -> None:
    (change,) = refresh(known, [replace(ON_DEMAND, price=price)], TODAY).changes
    assert change.jump is jump


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (replace(ON_DEMAND, price=0), "zero or less"),
        (replace(ON_DEMAND, price=-1), "zero or less"),
        (replace(ON_DEMAND, price=float("nan")), "no number"),
        (replace(ON_DEMAND, price=float("inf")), "no number"),
        (replace(ON_DEMAND, price=99999), "no machine costs that"),
        (replace(ON_DEMAND, price=0.0001), "no machine costs that"),
        (replace(ON_DEMAND, cpu=0), "without its host"),
        (replace(ON_DEMAND, memory=0), "without its host"),
        (replace(ON_DEMAND, flags=["gcp-dws-calendar-mode"]), "booked ahead"),
        (replace(ON_DEMAND, cpu=8), "8 vCPU, and the offer has 4"),
        (replace(ON_DEMAND, memory=32), "32 GiB, and the offer has 16"),
        (replace(ON_DEMAND, gpu_count=2), r"2 accelerator\(s\), and the offer has 1"),
        (replace(ON_DEMAND, gpu_count=0, gpu_name=None), r"0 accelerator\(s\)"),
        (replace(ON_DEMAND, gpu_name="T4"), "another accelerator: T4, .* nvidia-l4"),
    ],
)
def test_a_row_that_is_not_believed_has_its_reason(known: Catalogue, row: Row, reason: str) -> None:
    result = refresh(known, [row], TODAY)
    assert result.changes == []
    (rejected,) = result.rejected
    assert rejected.offer == L4
    assert "gcp g2-standard-4 us-central1-a on demand" in rejected.row
    with pytest.raises(ValueError, match=reason):
        raise ValueError(rejected.reason)
    assert result.unseen[L4] == "every row was rejected"


@pytest.mark.parametrize(
    ("rows", "ceiling"),
    [([replace(ON_DEMAND, price=0.21)], "0.21"), ([], "0.7"),
     ([replace(ON_DEMAND, price=0.21, flags=["gcp-dws-calendar-mode"])], "0.7")],
)  # fmt: skip
def test_spot_above_on_demand_is_not_believed(
    known: Catalogue, rows: list[Row], ceiling: str
) -> None:
    above = replace(SPOT, price=float(ceiling) + 0.01)
    result = refresh(known, [*rows, above], TODAY)
    assert L4_SPOT not in changed(result)
    said = [entry.reason for entry in result.rejected if entry.offer == L4_SPOT]
    assert said == [f"spot costs more than on demand (${ceiling}/h)"]
    equal = replace(SPOT, price=float(ceiling))
    assert L4_SPOT in changed(refresh(known, [*rows, equal], TODAY))


def test_what_is_not_seen_says_why(known: Catalogue) -> None:
    unseen = refresh(known, [], TODAY).unseen
    assert unseen[C7I] == "gpuhunt has no such row"
    assert unseen["aws/c7i.xlarge/us-east-1/reserved-12m"] == "gpuhunt has no reserved prices"
    assert "does not gather prices of civo" in unseen["civo/small/any/on-demand"]


def test_a_spot_price_of_aws_says_that_it_is_the_cheapest_zones(known: Catalogue) -> None:
    path = known.folder / "offers" / "aws.yaml"
    path.write_text(AWS.replace("on_demand", "spot"))
    (change,) = refresh(known, [replace(CPU, spot=True, price=0.06)], TODAY).changes
    assert change.source == "gpuhunt catalogue of aws prices (cheapest zone)"
    (change,) = refresh(Catalogue(known.folder), [ON_DEMAND], TODAY).changes
    assert "cheapest" not in change.source


# --- the patch -----------------------------------------------------------------------------------


def test_the_patch_applies_and_changes_nothing_else(known: Catalogue) -> None:
    before = {path: path.read_text() for path in (known.folder / "offers").iterdir()}
    rows = [ON_DEMAND, replace(SPOT, price=0.22), replace(CPU, price=0.19)]
    result = refresh(known, rows, TODAY)
    patch = as_patch(known.folder, result.changes)
    assert {path: path.read_text() for path in before} == before
    after = applied(known, patch)
    assert after.offers.keys() == known.offers.keys()
    for name, offer in after.offers.items():
        old = known.offer(name)
        assert isinstance(offer.machine, RentedOffer)
        assert isinstance(old.machine, RentedOffer)
        if name not in changed(result):
            assert offer == old
            continue
        rate, was = offer.machine.rate, old.machine.rate
        assert str(rate.price) == changed(result)[name]
        assert rate.as_of == TODAY
        assert "gpuhunt" in rate.source
        assert (rate.provenance, rate.note) == (was.provenance, was.note)
        assert offer.machine.model_copy(update={"rate": was}) == old.machine
    spot = after.offer(L4_SPOT).machine
    assert isinstance(spot, RentedOffer)
    assert spot.rate.bounds == (Decimal("0.22"), Decimal("0.30"))  # it follows the price down
    assert after.folder.joinpath("offers/civo.yaml").read_text() == CIVO


def test_comments_and_layout_stay(known: Catalogue) -> None:
    rows = [ON_DEMAND, replace(SPOT, price=0.26)]
    applied(known, as_patch(known.folder, refresh(known, rows, TODAY).changes))
    source = "gpuhunt catalogue of gcp prices"
    expected = (
        GCP.replace("$0.70/h ", "$0.71/h ")
        .replace(
            "source: >-\n        a price list\n        of two lines",
            f"as_of: 2026-11-20\n      source: {source}",
        )
        .replace('"$0.28/h"', "$0.26/h")
        .replace("source: 'a list'", f"as_of: 2026-11-20, source: {source}")
    )
    assert (known.folder / "offers" / "gcp.yaml").read_text() == expected


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_file_without_a_last_line_break_and_one_of_windows(
    known: Catalogue, newline: str
) -> None:
    path = known.folder / "offers" / "aws.yaml"
    # Without the offer behind it, the file ends in the line that changes.
    text = AWS.partition("\n  - sku: c7i.xlarge\n    title: for")[0]
    text = text.replace("&rate", "").replace("\n      as_of: 2026-01-02", "")
    path.write_bytes(text.replace("\n", newline).encode())
    patch = as_patch(known.folder, refresh(known, [replace(CPU, price=0.19)], TODAY).changes)
    assert "No newline at end of file" in patch
    machine = applied(known, patch).offer(C7I).machine
    assert isinstance(machine, RentedOffer)
    assert (str(machine.rate.price), machine.rate.as_of) == ("0.19", TODAY)
    lines = path.read_bytes().split(b"\n")[:-1]
    assert {line.endswith(b"\r") for line in lines} == {newline == "\r\n"}


def test_no_change_is_an_empty_patch(known: Catalogue) -> None:
    assert as_patch(known.folder, []) == ""


def test_the_committed_catalogue_can_be_patched(tmp_path: Path) -> None:
    folder = tmp_path / "repository" / "hardware_profiles"
    shutil.copytree(Catalogue().folder, folder)
    known = Catalogue(folder)
    rented = {n: o.machine for n, o in known.offers.items() if isinstance(o.machine, RentedOffer)}
    changes = [
        PriceChange(offer=name, old=machine.rate.price, new=machine.rate.price + Decimal("0.01"),
                    source="a list: today's", as_of=TODAY)
        for name, machine in rented.items()
    ]  # fmt: skip
    after = applied(known, as_patch(folder, changes))
    for change in changes:
        machine = after.offer(change.offer).machine
        assert isinstance(machine, RentedOffer)
        assert (machine.rate.price, machine.rate.as_of) == (change.new, TODAY)
        assert machine.rate.source == "a list: today's"


def change(offer: str, old: str = "0.1785") -> PriceChange:
    return PriceChange(offer=offer, old=Decimal(old), new=Decimal("0.2"), source="s", as_of=TODAY)


def test_offers_that_share_lines_are_left_to_a_person(known: Catalogue) -> None:
    path = known.folder / "offers" / "aws.yaml"
    shared = "{price: $0.11/h, provenance: published, source: a list}"
    assert shared in AWS
    path.write_text(AWS.replace(shared, "*rate"))
    with pytest.raises(InputError, match=r"aws\.yaml: .*share parts of the file.*by hand"):
        as_patch(known.folder, [change(C7I)])


def test_a_file_that_changed_since_is_not_patched(known: Catalogue) -> None:
    with pytest.raises(InputError, match=r"is no longer \$0\.15/h"):
        as_patch(known.folder, [change(C7I, old="0.15")])


def test_an_offer_that_is_not_there(known: Catalogue) -> None:
    with pytest.raises(UnknownName, match=r"Did you mean 'aws/c7i\.xlarge/us-east-1/on-demand'"):
        as_patch(known.folder, [change("aws/c7i.xlarge/us-east1/on-demand")])


# --- gpuhunt -------------------------------------------------------------------------------------


def test_without_gpuhunt_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gpuhunt", None)
    with pytest.raises(MissingRequirement, match=r"inference-testbed\[prices\]"):
        live_items()


HEADER = (
    "instance_name,location,price,cpu,memory,gpu_count,gpu_name,gpu_memory,spot,disk_size,"
    "gpu_vendor,flags,cpu_arch,provider_data\n"
)
AZURE = "Standard_D4s_v6,eastus,0.2,4,16.0,0,,,False,,,,x86,{}\n"


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Writes a catalogue that the real gpuhunt reads without a network."""
    pytest.importorskip("gpuhunt", reason="gpuhunt (extra prices) is not installed")
    folder = tmp_path / "gpuhunt"
    folder.mkdir()
    monkeypatch.setenv("GPUHUNT_CATALOG_DIR", str(folder))

    def write(**rows: str) -> None:
        for name, text in rows.items():
            (folder / f"{name}.csv").write_text(HEADER + text)

    return write


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # gpuhunt's own
def test_the_real_gpuhunt_on_a_local_catalogue(
    known: Catalogue, local: Callable[..., None]
) -> None:
    local(
        aws="c7i.xlarge,us-east-1,0.19,4,8.0,0,,,False,,,,x86,{}\n",
        azure=AZURE,
        gcp="g2-standard-4,us-central1-b,0.706832,4,16.0,1,L4,24.0,False,,nvidia,,x86,{}\n"
        "g2-standard-4,us-central1-b,0.25,4,16.0,1,L4,24.0,True,,nvidia,,x86,{}\n"
        "g2-standard-4,us-central1-a,0.1,0,0.0,1,L4,24.0,True,,nvidia,,x86,{}\n",
    )
    result = refresh(known, live_items().items, TODAY)
    assert changed(result) == {C7I: "0.19", L4: "0.706832", L4_SPOT: "0.25"}
    assert [entry.reason for entry in result.rejected] == ["an accelerator without its host"]
    applied(known, as_patch(known.folder, result.changes)).offer(C7I)


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # gpuhunt's own
def test_a_provider_that_is_lacking_costs_no_other(
    known: Catalogue, local: Callable[..., None]
) -> None:
    local(aws="c7i.xlarge,us-east-1,0.19,4,8.0,0,,,False,,,,x86,{}\n", azure="")
    live = live_items()
    assert live.failed["azure"] == "gpuhunt has no prices of azure now"
    assert "gcp.csv" in live.failed["google-cloud"]
    result = refresh(known, live.items, TODAY, live.failed)
    assert changed(result) == {C7I: "0.19"}
    assert result.unseen[L4] == live.failed["google-cloud"]
    assert result.failed == live.failed


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # gpuhunt's own
def test_a_catalogue_of_nobody_is_refused(local: Callable[..., None]) -> None:
    local(aws="", azure="", gcp="")
    with pytest.raises(InputError, match=r"no prices of aws now; azure: .*google-cloud now"):
        live_items()


def test_a_catalogue_out_of_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gpuhunt", reason="gpuhunt (extra prices) is not installed")
    monkeypatch.delenv("GPUHUNT_CATALOG_DIR", raising=False)
    monkeypatch.setenv("GPUHUNT_CATALOG_URL", "http://127.0.0.1:9/v3")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(InputError, match=r"cannot be read .* with an internet connection"):
        live_items()
