"""What is committed is sound, and a catalogue that breaks a rule is refused with its line."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest

from bench.errors import InputError, UnknownName
from bench.folders import data_folder
from bench.hardware import Catalogue, RentedOffer
from bench.hardware.checks import age_warnings, expired

PROVIDER = """\
schema_version: 1
provider: acme
location: cloud
currency: USD
tax: excluded
billing: {granularity: 1 s, minimum: 60 s}
services:
  load_balancer: {price: $0.02/h, provenance: published, source: services}
  egress:
    tiers:
      - {up_to: 100 GB, price: $0/GB}
      - {up_to: 10 TB, price: $0.09/GB}
      - {price: $0.08/GB}
    provenance: published
    source: services
  storage: {price: $0.023/GB/month, provenance: published, source: services}
reserved_only: [big]
offers:
  - sku: small
    title: 2 vCPU
    kind: rented
    region: here
    tier: on_demand
    vcpus: 2
    memory_gib: 4
    rate: {price: $0.10/h, provenance: published, source: a price list, as_of: 2026-11-01}
  - sku: gpu
    title: 1 × T4
    kind: rented
    region: here
    tier: on_demand
    vcpus: 4
    memory_gib: 16
    device: nvidia-t4
    accelerators: 1
    rate: {price: $0.526/h, provenance: published, source: listed}
  - {sku: gpu, title: T4, kind: rented, region: here, tier: spot, vcpus: 4, memory_gib: 16, device: nvidia-t4, accelerators: 1,
     rate: {price: $0.216/h, low: $0.200/h, high: $0.220/h, provenance: published, source: seen}}
  - {sku: gpu, title: T4, kind: rented, region: here, tier: reserved, term_months: 12, vcpus: 4, memory_gib: 16, device: nvidia-t4, accelerators: 1,
     rate: {price: $0.331/h, provenance: published, source: listed}}
  - {sku: gpu, title: T4, kind: rented, region: there, tier: on_demand, vcpus: 4, memory_gib: 16, device: nvidia-t4, accelerators: 1,
     rate: {price: $0.60/h, provenance: published, source: listed}}
  - {sku: big, title: 8 × H100, kind: rented, region: here, tier: reserved, term_months: 36, vcpus: 192, memory_gib: 2048, device: nvidia-h100-sxm, accelerators: 8,
     rate: {price: $30/h, provenance: published, source: listed}}
  - sku: box
    title: a computer to keep
    kind: purchased
    vcpus: 4
    memory_gib: 8
    purchase: {price: $300, provenance: published, source: a shop}
    power: {draw: 12 W, provenance: measured, source: a meter}
"""
SMALL = "acme/small/here/on-demand"
GPU = "acme/gpu/here/on-demand"


def folder_of(tmp_path: Path) -> Path:
    """A copy of what is committed, to break."""
    return Path(shutil.copytree(data_folder("hardware_profiles"), tmp_path / "hw"))


def catalogue(tmp_path: Path, text: str) -> Catalogue:
    folder = folder_of(tmp_path)
    (folder / "offers" / "acme.yaml").write_text(text)
    return Catalogue(folder)


def edited(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) >= 1
    path.write_text(text.replace(old, new, 1))


def refused(look_up: Callable[[], object], file: str) -> tuple[str, str]:
    """The message of a refusal, and the line of ``file`` that it names."""
    with pytest.raises(InputError, match=rf"{re.escape(file)}:\d+:\d+: ") as caught:
        look_up()
    path, line, column = str(caught.value.where).rsplit(":", 2)
    text = Path(path).read_text().splitlines()[int(line) - 1]
    assert int(column) <= len(text)
    return str(caught.value), text


# --- what is committed ---------------------------------------------------------------------------


def test_what_is_committed_can_be_used_today() -> None:
    """The gate of the continuous integration: it fails once a price has expired.

    Prices seen more than a year ago are not used, so what is committed must be renewed by then.
    The clock is the one of the machine: nothing else has to change for this test to fail.
    """
    known = Catalogue()
    assert expired(known.offers) == {}
    assert len(known.offers) > 50
    assert known.assumptions.electricity.source
    for offer in known.offers.values():
        machine = offer.machine
        assert machine.device in known.devices
        if not isinstance(machine, RentedOffer):
            assert machine.purchase.price > 0
            assert machine.power.draw > 0
            continue
        assert offer.billing
        assert 0 < machine.rate.price < 200
        listed = known.offers.get(f"{offer.provider}/{machine.sku}/{machine.region}/on-demand")
        if listed is not None and isinstance(listed.machine, RentedOffer):
            assert machine.rate.price <= listed.machine.rate.price


def test_every_region_that_is_committed_has_a_country_whose_grid_is_known() -> None:
    known = Catalogue()
    somewhere = {o.name for o in known.offers.values() if known.region_of(o) is None}
    assert all(name.startswith("civo/") and "/any/" in name for name in somewhere), somewhere
    for region in known.regions.values():
        assert region.intensity.average is not None, region
        assert 0 < region.intensity.average.value < 1500
        assert region.country in known.averages


def test_every_device_that_is_committed_is_called_as_its_file() -> None:
    files = {path.stem for path in (data_folder("hardware_profiles") / "devices").glob("*.yaml")}
    assert set(Catalogue().devices) == files


def test_a_rate_that_was_computed_is_what_its_note_computes() -> None:
    """Cores x GHz x operations of a cycle, as the notes of processors' data sheets say it."""
    computed = {
        name: device.data_sheet
        for name, device in Catalogue().devices.items()
        if device.data_sheet is not None and device.data_sheet.provenance == "projected"
    }
    assert len(computed) == 10
    for name, sheet in computed.items():
        terms = re.findall(r"(\d+)(?: cores)? x ([\d.]+) GHz x (\d+)", sheet.note)
        rate = sum(int(cores) * float(clock) * int(width) for cores, clock, width in terms)
        assert sheet.fp32 == pytest.approx(rate * 1e9, rel=0.002), name


def test_an_offer_of_ones_own(tmp_path: Path) -> None:
    known = catalogue(tmp_path, PROVIDER)
    offer = known.offer(SMALL)
    assert isinstance(offer.machine, RentedOffer)
    assert str(offer.machine.rate.price) == "0.10"
    assert known.offer("acme/gpu/here/reserved-12m").services.egress is not None
    assert set(Catalogue().offers) < set(known.offers)
    with pytest.raises(UnknownName, match="Did you mean 'acme/small/here/on-demand'"):
        known.offer("acme/small/here/ondemand")


# --- one fault at a time -------------------------------------------------------------------------

HOST = "a row without vcpus and memory_gib prices an accelerator without its host"
GPU_ROW = "sku: gpu"  # the row's first line
IN_GPU = "    memory_gib: 16\n    device"


@pytest.mark.parametrize(
    ("old", "new", "said", "at"),
    [
        # Prices that are none.
        ("$0.10/h", "$0/h", "a price of zero", "price: $0/h"),
        ("$0.10/h", "$0.00/month", "a price of zero", "$0.00/month"),
        ("$300", "$0", "a price of zero", "price: $0,"),
        ("$0.10/h", "$700.0/h", "where nothing is sold", "$700.0/h"),
        ("$30/h", "$999/h", "where nothing is sold", "$999/h"),
        ("$0.10/h", "$-1/h", "greater than or equal to 0", "$-1/h"),
        ("$0.08/GB", "$-0.08/GB", "greater than or equal to 0", "$-0.08/GB"),
        ("$300", "$-300", "greater than or equal to 0", "$-300"),
        # Absurd ones, and prices of a month written as those of an hour.
        ("$0.10/h", "$5000/h", "absurd for 2 vCPUs", "$5000/h"),
        ("$0.10/h", "$73/h", "whether the price is by the month", "$73/h"),
        ("$0.526/h", "$383.98/h", "whether the price is by the month", "$383.98/h"),
        ("$30/h", "$21900/h", "whether the price is by the month", "$21900/h"),
        ("$0.02/h", "$16.43/h", "absurd for load_balancer", "$16.43/h"),
        ("$0.08/GB", "$80/GB", "absurd for egress", "$80/GB"),
        ("$0.023/GB/month", "$23/GB/month", "absurd for storage", "$23/GB/month"),
        # Cheaper to be bound, or to be taken back; never dearer.
        ("$0.216/h, low: $0.200/h, high: $0.220/h", "$0.527/h", "costs more as spot", "$0.527/h"),
        ("$0.331/h", "$0.527/h", "costs more as reserved", "$0.527/h"),
        ("$0.60/h", "$1.06/h", "up to 2 times the price of another region", "$1.06/h"),
        ("sku: small", "sku: big", "sold by reservation only", "sku: big"),
        # The machine around the accelerator.
        ("    vcpus: 4\n" + IN_GPU, IN_GPU, f"{HOST}; give vcpus of", GPU_ROW),
        (IN_GPU, "    device", f"{HOST}; give memory_gib of", GPU_ROW),
        ("    vcpus: 4\n" + IN_GPU, "    device", f"{HOST}; give vcpus and memory_gib of", GPU_ROW),
        ("    vcpus: 4\n" + IN_GPU, "    vcpus: 0\n" + IN_GPU, f"{HOST}; give vcpus of", GPU_ROW),
        (IN_GPU, "    memory_gib: 0\n    device", f"{HOST}; give memory_gib of", GPU_ROW),
        ("    vcpus: 4\n" + IN_GPU, "    vcpu: 4\n" + IN_GPU, "Did you mean 'vcpus'?", "vcpu: 4"),
        ("vcpus: 2\n", "vcpus: -2\n", "greater than or equal to 1", "vcpus: -2"),
        ("    vcpus: 2\n", "", "the key 'vcpus' is missing", "sku: small"),
        (IN_GPU, "    memory_gib: 16384\n    device", "whether it is in MiB", "16384"),
        ("device: nvidia-t4\n", "device: nvidia-t5\n", "Did you mean 'nvidia-t4'?", "nvidia-t5"),
        ("    title: 1 × T4", "    title: 1 × T4\n    device_count: 1", "unknown key", "device_count"),
        # Units and currencies.
        ("$0.10/h", "0.10", "not a money per time", "price: 0.10"),
        ("$0.10/h", "€0.10/h", "not a money per time", "€0.10/h"),
        ("$0.10/h", "$0.10/GB", "allowed units: ${number}/h, ${number}/month", "$0.10/GB"),
        ("$0.10/h", "$0.10/s", "not a money per time", "$0.10/s"),
        ("$0.08/GB", "$0.08/MB", "not a money per GB", "$0.08/MB"),
        ("$0.08/GB", "$0.08/h", "not a money per GB", "$0.08/h"),
        ("$0.023/GB/month", "$0.023/GB", "not a money per GB and month", "$0.023/GB"),
        ("$300", "$300/month", "not a money with", "$300/month"),
        ("100 GB", "100", "not a size", "up_to: 100,"),
        ("100 GB", "100 Gbit", "not a size", "100 Gbit"),
        ("memory_gib: 4\n", "memory_gib: 4 GB\n", "valid number", "memory_gib: 4 GB"),
        ("12 W", "12", "not a power", "draw: 12,"),
        ("12 W", "12 Wh", "not a power", "12 Wh"),
        ("currency: USD", "currency: EUR", "'USD'", "currency: EUR"),
        ("currency: USD\n", "", "'currency' is missing", "schema_version"),
        ("tax: excluded", "tax: included", "'excluded'", "tax: included"),
        ("tax: excluded\n", "", "'tax' is missing", "schema_version"),
        # Dates.
        ("2026-11-01", "someday", "not a date that exists", "someday"),
        ("2026-11-01", "2026-11-31", "not a date that exists", "2026-11-31"),
        ("2026-11-01", "01.11.2026", "not a date that exists", "01.11.2026"),
        ("2026-11-01", "20261101", "not a date that exists", "as_of: 20261101"),
        ("2026-11-01", "1793491200", "not a date that exists", "as_of: 1793491200"),
        ("2026-11-01", "2999-01-01", "is in the future", "as_of: 2999-01-01"),
        ("a meter", "a meter, as_of: 2999-01-01", "is in the future", "as_of: 2999-01-01"),
        # Where it comes from.
        ("provenance: published, source: a price", "provenance: guessed, source: a price", "'published'", "guessed"),
        ("source: a price list, ", "", "'source' is missing", "rate: {price: $0.10/h"),
        ("source: a price list", 'source: ""', "at least 1 character", 'source: ""'),
        ("provenance: published, source: a price", "source: a price", "'provenance' is missing", "$0.10/h"),
        # What does not go together.
        ("low: $0.200/h", "low: $0.217/h", "must lie between low and high", "rate: {price: $0.216/h"),
        ("high: $0.220/h", "high: $0.215/h", "must lie between low and high", "rate: {price: $0.216/h"),
        ("tier: reserved, term_months: 12", "tier: reserved", "needs term_months", "sku: gpu"),
        ("tier: spot", "tier: spot, term_months: 12", "needs term_months", "tier: spot"),
        ("tier: on_demand\n", "tier: on-demand\n", "'on_demand'", "tier: on-demand"),
        ("billing: {granularity: 1 s, minimum: 60 s}\n", "", "billing rule", "sku: small"),
        ("granularity: 1 s", "granularity: 0 s", "greater than 0", "granularity: 0 s"),
        ("kind: purchased", "kind: leased", "unknown kind 'leased'", "kind: leased"),
        ("up_to: 10 TB", "up_to: 10 GB", "the tiers must grow", "tiers:"),
        ("up_to: 10 TB", "up_to: 100 GB", "the tiers must grow", "tiers:"),
        ("{price: $0.08/GB}", "{up_to: 99 TB, price: $0.08/GB}", "the last has none", "tiers:"),
        ("{up_to: 10 TB, price", "{price", "every tier but the last needs up_to", "tiers:"),
        # No numbers, and numbers beyond use.
        ("$0.10/h", "$nan/h", "not a money per time", "$nan/h"),
        ("$0.10/h", "$inf/h", "not a money per time", "$inf/h"),
        ("$0.10/h", "$1e400/h", "is more than $1,000,000,000", "$1e400/h"),
        ("$0.08/GB", "$1e400/GB", "is more than $1,000,000,000", "$1e400/GB"),
        ("$300", "$1e400", "is more than $1,000,000,000", "$1e400"),
        ("12 W", "1e400 W", "not a finite number", "1e400 W"),
        ("12 W", "1e300 W", "a microwatt to a gigawatt", "1e300 W"),
        ("12 W", "nan W", "not a power", "nan W"),
        ("12 W", "0 W", "greater than 0", "0 W"),
        ("memory_gib: 4\n", "memory_gib: 1e400\n", "finite number", "1e400"),
        ("memory_gib: 4\n", "memory_gib: .nan\n", "valid number", ".nan"),
        ("memory_gib: 4\n", "memory_gib: nan\n", "finite number", "nan"),
        ("vcpus: 2\n", "vcpus: 1e400\n", "finite number", "1e400"),
        ("100 GB", "1e400 GB", "not a finite number", "1e400 GB"),
    ],
)  # fmt: skip
def test_a_broken_rule_is_named_with_its_line(
    tmp_path: Path, old: str, new: str, said: str, at: str
) -> None:
    assert PROVIDER.count(old) >= 1
    known = catalogue(tmp_path, PROVIDER.replace(old, new, 1))
    message, line = refused(lambda: known.offers, "acme.yaml")
    assert said in message
    assert at in line


@pytest.mark.parametrize(
    ("old", "new"),
    [
        # At the limit of each rule, or with the reason that it asks for.
        ("$0.216/h, low: $0.200/h, high: $0.220/h", "$0.526/h"),
        ("$0.331/h", "$0.526/h"),
        ("$0.60/h", "$1.052/h"),
        ("region: there, ", "region: there, dearer_because: an island, "),
        ("$0.10/h", "$2/h"),
        ("$0.02/h", "$0/h"),
        ("$0.10/h", "$73/month"),
        ("as_of: 2026-11-01", f"as_of: {date.today()}"),
    ],
)
def test_what_keeps_the_rules_is_used(tmp_path: Path, old: str, new: str) -> None:
    text = PROVIDER.replace(old, new, 1)
    assert text != PROVIDER
    if "dearer_because" in new:
        text = text.replace("$0.60/h", "$1.80/h")
    assert SMALL in catalogue(tmp_path, text).offers


def test_a_tomorrow_is_in_the_future(tmp_path: Path) -> None:
    tomorrow = date.today() + timedelta(days=1)
    known = catalogue(tmp_path, PROVIDER.replace("2026-11-01", tomorrow.isoformat()))
    message, _ = refused(lambda: known.offers, "acme.yaml")
    assert f"{tomorrow} is in the future" in message


def test_the_same_offer_twice(tmp_path: Path) -> None:
    twice = PROVIDER[PROVIDER.index("  - sku: small") : PROVIDER.index("  - sku: gpu")]
    known = catalogue(tmp_path, PROVIDER + twice.replace("$0.10/h", "$0.11/h"))
    with pytest.raises(InputError, match=rf"acme\.yaml:{PROVIDER.count(chr(10)) + 1}:5: .*twice"):
        _ = known.offers


def test_one_provider_in_two_files(tmp_path: Path) -> None:
    known = catalogue(tmp_path, PROVIDER)
    (known.folder / "offers" / "zeta.yaml").write_text(PROVIDER.replace("sku: small", "sku: tiny"))
    message, line = refused(lambda: known.offers, "zeta.yaml")
    assert "'acme' has a file already, acme.yaml" in message
    assert line == "provider: acme"


# --- devices, regions, assumptions, averages -----------------------------------------------------


def test_two_devices_by_one_published_name(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    text = (folder / "devices" / "nvidia-t4.yaml").read_text()
    (folder / "devices" / "zeta.yaml").write_text(text.replace("name: nvidia-t4", "name: zeta"))
    message, line = refused(lambda: Catalogue(folder).devices, "zeta.yaml")
    assert "is nvidia-t4 already" in message
    assert "NVIDIA T4" in line
    assert "NVIDIA T4" in message


@pytest.mark.parametrize(
    ("old", "new", "said", "at"),
    [
        ("name: nvidia-t4", "name: nvidia-t5", "in a file of another name", "name: nvidia-t5"),
        ("published_as:\n", "published_as:\n  - NVIDIA A2\n", "is nvidia-a2 already", "NVIDIA A2"),
        ("published_as:\n", "published_as:\n  - T\n  - T\n", "is nvidia-t4 already", "- T"),
        ("  memory: 16 GB", "  memory: 16", "not a size", "memory: 16"),
        ("  memory: 16 GB", "  memory: 1e400 GB", "not a finite number", "1e400"),
        ("  power: 70 W", "  power: nan W", "not a power", "nan W"),
        ("  source:", "  source: ''\n  note_source:", "unknown key", "note_source"),
        ("kind: gpu", "kind: abacus", "'gpu'", "abacus"),
    ],
)
def test_a_device_that_breaks_a_rule(
    tmp_path: Path, old: str, new: str, said: str, at: str
) -> None:
    folder = folder_of(tmp_path)
    edited(folder / "devices" / "nvidia-t4.yaml", old, new)
    message, line = refused(lambda: Catalogue(folder).devices, "nvidia-t4.yaml")
    assert said in message
    assert at in line


@pytest.mark.parametrize(
    ("old", "new", "said", "at"),
    [
        ("region: eu-west-1", "region: us-east-1", "'us-east-1' of aws appears twice", "- provider: aws"),
        ("country: USA", "country: US", "match pattern", "country: US"),
        ("    country: USA\n", "", "'country' is missing", "provider: aws"),
        ("value: 1.15", "value: 0.9", "greater than or equal to 1", "0.9"),
        ("value: 396 g/kWh", "value: 396", "not a carbon intensity", "396"),
        ("value: 396 g/kWh", "value: -1 g/kWh", "greater than or equal to 0", "-1 g/kWh"),
        ("value: 396 g/kWh", "value: 1e400 g/kWh", "not a finite number", "1e400"),
    ],
)  # fmt: skip
def test_a_region_that_breaks_a_rule(
    tmp_path: Path, old: str, new: str, said: str, at: str
) -> None:
    folder = folder_of(tmp_path)
    edited(folder / "regions.yaml", old, new)
    message, line = refused(lambda: Catalogue(folder).regions, "regions.yaml")
    assert said in message
    assert at in line


@pytest.mark.parametrize(
    ("old", "new", "said", "at"),
    [
        ("value: $0.20/kWh", "value: 0.20", "not a money per energy", "value: 0.20"),
        ("value: $0.20/kWh", "value: $0.20/h", "allowed units: ${number}/kWh", "$0.20/h"),
        ("value: $0.20/kWh", "value: $-0.20/kWh", "greater than or equal to 0", "$-0.20/kWh"),
        ("value: $0.20/kWh", "value: $0.50/kWh", "between low and high", "value: $0.50/kWh"),
        ("high: $0.40/kWh", "high: $1e400/kWh", "is more than $1,000,000,000", "$1e400/kWh"),
        ("value: 50\n", "value: 0\n", "greater than 0", "value: 0"),
        ("value: 50\n", "value: 1e400\n", "finite number", "1e400"),
        ("value: 50\n", "value: .inf\n", "valid number", ".inf"),
        ("value: 50\n", "value: nan\n", "finite number", "nan"),
        ("value: 1.58", "value: 158 %", "valid number", "158 %"),
        ("value: average", "value: mean", "'average'", "mean"),
        ("electricity:", "electricty:", "Did you mean 'electricity'?", "electricty"),
        ("as_of: 2023-07-01", "as_of: 2023-07-32", "not a date that exists", "2023-07-32"),
        ("as_of: 2023-07-01", "as_of: 2999-07-01", "is in the future", "2999-07-01"),
    ],
)
def test_an_assumption_that_breaks_a_rule(
    tmp_path: Path, old: str, new: str, said: str, at: str
) -> None:
    folder = folder_of(tmp_path)
    edited(folder / "assumptions.yaml", old, new)
    message, line = refused(lambda: Catalogue(folder).assumptions, "assumptions.yaml")
    assert said in message
    assert at in line


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("ABW,Aruba,561.2,2022", "ABW,Aruba,much,2022"),
        ("ABW,Aruba,561.2,2022", "ABW,Aruba,-1,2022"),
        ("ABW,Aruba,561.2,2022", "ABW,Aruba,nan,2022"),
        ("ABW,Aruba,561.2,2022", "ABW,Aruba"),
        ("iso3,", "iso2,"),
    ],
)
def test_an_average_that_is_none(tmp_path: Path, old: str, new: str) -> None:
    folder = folder_of(tmp_path)
    edited(folder / "published" / "grid_carbon_intensity.csv", old, new)
    with pytest.raises(InputError, match=r"intensity\.csv:2:1: not a row of grid intensities"):
        _ = Catalogue(folder).regions


# --- age -----------------------------------------------------------------------------------------

SEEN = date(2026, 11, 1)


@pytest.mark.parametrize(
    ("days", "warned", "refused_"),
    [(0, False, False), (90, False, False), (91, True, False), (365, True, False), (366, True, True)],
)  # fmt: skip
def test_a_price_grows_old(tmp_path: Path, days: int, warned: bool, refused_: bool) -> None:
    offers = {SMALL: catalogue(tmp_path, PROVIDER).offer(SMALL)}
    now = SEEN + timedelta(days=days)
    warning = [f"the price of {SMALL} was seen {days} days ago"]
    assert list(age_warnings(offers, now)) == (warning if warned else [])
    assert expired(offers, now) == (
        {SMALL: f"its price was seen {days} days ago"} if refused_ else {}
    )


def test_a_price_without_a_date_is_used_with_a_warning(tmp_path: Path) -> None:
    known = catalogue(tmp_path, PROVIDER)
    offers = {GPU: known.offer(GPU), "acme/box": known.offer("acme/box")}
    assert list(age_warnings(offers, SEEN)) == [
        f"the price of {GPU} bears no date (listed)",
        "the price of acme/box bears no date (a shop)",
    ]
    assert expired(offers, SEEN + timedelta(days=9999)) == {}


def test_a_machine_is_not_sold_any_more(tmp_path: Path) -> None:
    known = catalogue(
        tmp_path, PROVIDER.replace("sku: gpu\n", "sku: gpu\n    sold_until: 2027-03-31\n")
    )
    offers = {GPU: known.offer(GPU)}
    assert expired(offers, date(2027, 3, 31)) == {}
    assert expired(offers, date(2027, 4, 1)) == {GPU: "it was sold until 2027-03-31"}


def test_what_is_committed_expires_one_day() -> None:
    """So that the gate above can fail."""
    offers = Catalogue().offers
    dated = {
        n for n, o in offers.items() if isinstance(o.machine, RentedOffer) and o.machine.rate.as_of
    }
    assert dated
    assert dated <= set(expired(offers, date.today() + timedelta(days=366)))


def test_of_many_names_those_alike_are_shown() -> None:
    known = Catalogue()
    with pytest.raises(UnknownName) as caught:
        known.offer("aws/g4dn.xlarge/us-east-1/ondemand")
    said = str(caught.value)
    assert said.count("/on-demand") <= 12
    assert f"and {len(known.offers) - 12} more" in said
    assert "Did you mean 'aws/g4dn.xlarge/us-east-1/on-demand'?" in said
