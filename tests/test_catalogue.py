"""What is committed is sound, and a catalogue that breaks a rule is refused with its line."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bench.errors import InputError, UnknownName
from bench.folders import data_folder
from bench.hardware import Catalogue, RentedOffer

PROVIDER = """\
schema_version: 1
provider: acme
location: cloud
currency: USD
tax: excluded
billing: {granularity: 1 s, minimum: 60 s}
offers:
  - sku: small
    title: 2 vCPU
    kind: rented
    region: here
    tier: on_demand
    vcpus: 2
    memory_gib: 4
    rate: {price: $0.10/h, provenance: published, source: a price list, as_of: 2026-11-01}
"""


def catalogue(folder: Path, text: str) -> Catalogue:
    shutil.copytree(data_folder("hardware_profiles"), folder / "hw")
    (folder / "hw" / "offers" / "acme.yaml").write_text(text)
    return Catalogue(folder / "hw")


def test_everything_committed_is_sound() -> None:
    known = Catalogue()
    assert known.devices
    assert known.assumptions.electricity.source
    for offer in known.offers.values():
        if isinstance(offer.machine, RentedOffer):
            assert offer.billing
            assert 0 < offer.machine.rate.price < 200


def test_an_offer_of_ones_own(tmp_path: Path) -> None:
    known = catalogue(tmp_path, PROVIDER)
    offer = known.offer("acme/small/here/on-demand")
    assert isinstance(offer.machine, RentedOffer)
    assert str(offer.machine.rate.price) == "0.10"
    with pytest.raises(UnknownName, match="Did you mean 'acme/small/here/on-demand'"):
        known.offer("acme/small/here/ondemand")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("$0.10/h", "$0/h", "a price of zero"),
        ("$0.10/h", "0.10", "not a money per time"),
        ("$0.10/h", "$-1/h", "greater than or equal to 0"),
        ("$0.10/h", "€0.10/h", "not a money per time"),
        ("currency: USD", "currency: EUR", "USD"),
        ("2026-11-01", "someday", "date"),
        ("vcpus: 2", "vcpus: -2", "greater than or equal to 1"),
        ("billing: {granularity: 1 s, minimum: 60 s}\n", "", "billing rule"),
        ("provenance: published", "provenance: guessed", "published"),
        ("source: a price list, ", "", "source"),
        ("tier: on_demand", "tier: on-demand", "on_demand"),
    ],
)
def test_a_broken_rule_is_named_with_its_line(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    assert old in PROVIDER
    with pytest.raises(InputError, match=r"acme\.yaml:\d+:\d+: ") as caught:
        _ = catalogue(tmp_path, PROVIDER.replace(old, new)).offers
    assert said in str(caught.value)


def test_the_same_offer_twice(tmp_path: Path) -> None:
    offer = PROVIDER[PROVIDER.index("  - sku") :]
    with pytest.raises(InputError, match="appears twice"):
        _ = catalogue(tmp_path, PROVIDER + offer).offers
