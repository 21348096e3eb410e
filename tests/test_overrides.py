"""One file goes before the catalogue, changes what it names, and nothing else."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bench.errors import InputError, UnknownName
from bench.executor import LocalProcesses, in_order
from bench.hardware import Assumptions, Catalogue, Offer, PurchasedOffer, RentedOffer
from bench.hardware.checks import age_warnings, expired
from bench.hardware.overrides import OverrideFile
from tests.test_catalogue import edited, folder_of

T4 = "aws/g4dn.xlarge/us-east-1/on-demand"
T4_SPOT = "aws/g4dn.xlarge/us-east-1/spot"
L4 = "google-cloud/g2-standard-4/us-central1/on-demand"
PI = "edge/raspberry-pi-5"


def overridden(tmp_path: Path, text: str) -> Catalogue:
    path = tmp_path / "mine.yaml"
    path.write_text(f"schema_version: 1\n{text}")
    return Catalogue(overrides=path)


def changed(known: Catalogue) -> dict[str, dict[str, Any]]:
    """What differs from the committed catalogue, offer by offer."""
    listed = Catalogue().offers
    assert list(known.offers) == list(listed)
    return {
        name: _differences(listed[name].model_dump(), offer.model_dump())
        for name, offer in known.offers.items()
        if offer != listed[name]
    }


def _differences(old: Any, new: Any, path: str = "") -> dict[str, Any]:
    if isinstance(old, dict) and isinstance(new, dict):
        assert old.keys() == new.keys()
        return {k: v for key in old for k, v in _differences(old[key], new[key], f"{path}.{key}").items()}  # fmt: skip
    return {} if old == new else {path[1:]: new}


def rented(known: Catalogue, name: str) -> RentedOffer:
    machine = known.offer(name).machine
    assert isinstance(machine, RentedOffer)
    return machine


# --- what it changes -----------------------------------------------------------------------------


def test_a_negotiated_rate(tmp_path: Path) -> None:
    known = overridden(
        tmp_path,
        f"rates:\n  {T4}: {{price: $0.41/h, provenance: published, source: our contract, as_of: 2026-11-01}}\n",
    )
    assert changed(known).keys() == {T4}
    assert rented(known, T4).rate.price == Decimal("0.41")
    assert {key.rpartition(".")[0] for key in changed(known)[T4]} == {"machine.rate"}
    assert known.offer(T4).machine.title == Catalogue().offer(T4).machine.title
    assert known.assumptions == Catalogue().assumptions
    assert known.devices == Catalogue().devices
    assert known.regions == Catalogue().regions


def test_a_purchase_price(tmp_path: Path) -> None:
    known = overridden(
        tmp_path, f"purchases:\n  {PI}: {{price: $61, provenance: published, source: our quote}}\n"
    )
    machine = known.offer(PI).machine
    assert isinstance(machine, PurchasedOffer)
    assert machine.purchase.price == Decimal(61)
    assert machine.purchase.bounds == (Decimal(61), Decimal(61))
    assert changed(known).keys() == {PI}
    assert all(key.startswith("machine.purchase.") for key in changed(known)[PI])


def test_a_discount_on_a_provider(tmp_path: Path) -> None:
    known = overridden(
        tmp_path, "discounts:\n  aws: {share: 35 %, provenance: published, source: our contract}\n"
    )
    listed = Catalogue().offers
    assert changed(known).keys() == {n for n, o in listed.items() if o.provider == "aws"}
    for name in changed(known):
        old, new = listed[name].machine, rented(known, name)
        assert isinstance(old, RentedOffer)
        assert new.rate.price == old.rate.price * Decimal("0.65")
        assert new.rate.bounds == tuple(bound * Decimal("0.65") for bound in old.rate.bounds)
        assert (new.rate.low is None, new.rate.as_of) == (old.rate.low is None, old.rate.as_of)
        assert new.rate.source == f"{old.rate.source}, less 0.35 of it: our contract"
        assert {k for k in changed(known)[name] if not k.startswith("machine.rate.")} == set()
    assert rented(known, T4).rate.price == Decimal("0.34190")
    assert known.offer(T4).services == listed[T4].services


@pytest.mark.parametrize("percent", [7, 29, 35, 57, 58])
def test_a_discount_is_exact(tmp_path: Path, percent: int) -> None:
    """Some of these shares are no binary fraction: 35 % is 0.35000000000000003 there."""
    known = overridden(
        tmp_path,
        f"discounts:\n  aws: {{share: {percent} %, provenance: published, source: ours}}\n",
    )
    assert rented(known, T4).rate.price * 1000 * 100 == Decimal(526) * (100 - percent)


@pytest.mark.parametrize("provenance", ["published", "assumed"])
def test_a_discounted_price_is_as_good_as_the_worse_of_both(
    tmp_path: Path, provenance: str
) -> None:
    known = overridden(
        tmp_path, f"discounts:\n  azure: {{share: 10 %, provenance: {provenance}, source: ours}}\n"
    )
    listed = Catalogue()
    for name in changed(known):
        old = rented(listed, name).rate.provenance
        worse = "assumed" if "assumed" in (old, provenance) else "published"
        assert rented(known, name).rate.provenance == worse
    assert rented(known, "azure/Standard_D4s_v5/westeurope/on-demand").rate.provenance == "assumed"


def test_a_rate_goes_before_the_discount(tmp_path: Path) -> None:
    known = overridden(
        tmp_path,
        "discounts:\n  aws: {share: 50 %, provenance: published, source: ours}\n"
        f"rates:\n  {T4}: {{price: $0.41/h, provenance: published, source: ours}}\n",
    )
    assert rented(known, T4).rate.price == Decimal("0.41")
    assert rented(known, T4_SPOT).rate.price == Decimal("0.108")


def test_services_by_name(tmp_path: Path) -> None:
    known = overridden(
        tmp_path,
        "services:\n  aws:\n    load_balancer: {price: $0.01/h, provenance: published, source: ours}\n",
    )
    listed = Catalogue()
    assert changed(known).keys() == {n for n, o in listed.offers.items() if o.provider == "aws"}
    for difference in changed(known).values():
        assert {key.rpartition(".")[0] for key in difference} == {"services.load_balancer"}
    services = known.offer(T4).services
    assert services.load_balancer is not None
    assert services.load_balancer.price == Decimal("0.01")
    assert services.egress == listed.offer(T4).services.egress
    assert services.storage == listed.offer(T4).services.storage


def test_a_service_where_there_was_none(tmp_path: Path) -> None:
    known = overridden(
        tmp_path,
        "services:\n  edge:\n    egress: {tiers: [{price: $2/GB}], provenance: assumed, source: a SIM}\n",
    )
    assert Catalogue().offer(PI).services.egress is None
    egress = known.offer(PI).services.egress
    assert egress is not None
    assert egress.tiers[0].price == Decimal(2)


def test_assumptions(tmp_path: Path) -> None:
    known = overridden(
        tmp_path,
        "assumptions:\n"
        "  electricity: {value: $0.31/kWh, source: my bill, provenance: published}\n"
        "  device_life: {value: 6 years, low: 5 years, source: ours}\n"
        "  carbon_intensity: {value: marginal, source: a choice}\n",
    )
    said, listed = known.assumptions, Catalogue().assumptions
    assert said.electricity.value == Decimal("0.31")
    assert (said.electricity.low, said.electricity.provenance) == (None, "published")
    assert said.device_life.value == 6 * 365 * 86_400
    assert said.device_life.provenance == "assumed"
    assert said.carbon_intensity.value == "marginal"
    differing = {n for n in Assumptions.model_fields if getattr(said, n) != getattr(listed, n)}
    assert differing == {"electricity", "device_life", "carbon_intensity"}
    assert known.offers == Catalogue().offers


def test_a_file_that_names_nothing_changes_nothing(tmp_path: Path) -> None:
    known = overridden(tmp_path, "")
    assert changed(known) == {}
    assert known.assumptions == Catalogue().assumptions


def test_a_negotiated_price_grows_old_too(tmp_path: Path) -> None:
    known = overridden(
        tmp_path,
        f"rates:\n  {T4}: {{price: $0.4/h, provenance: published, source: x, as_of: 2024-01-01}}\n",
    )
    assert T4 in expired(known.offers)
    assert any(T4 in warning for warning in age_warnings(known.offers))


# --- which file ----------------------------------------------------------------------------------

RATE = f"schema_version: 1\nrates:\n  {T4}: {{price: $0.4/h, provenance: published, source: x}}\n"


def test_the_file_beside_the_catalogue_and_an_explicit_one(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    assert rented(Catalogue(folder), T4).rate.price == Decimal("0.526")
    (folder / "overrides.yaml").write_text(RATE)
    assert rented(Catalogue(folder), T4).rate.price == Decimal("0.4")
    assert rented(Catalogue(), T4).rate.price == Decimal("0.526")
    mine = tmp_path / "mine.yaml"
    mine.write_text(RATE.replace("$0.4/h", "$0.3/h"))
    assert rented(Catalogue(folder, mine), T4).rate.price == Decimal("0.3")
    mine.write_text("schema_version: 1\n")
    assert rented(Catalogue(folder, mine), T4).rate.price == Decimal("0.526"), "one file, not two"


def test_an_explicit_file_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "none.yaml"
    with pytest.raises(InputError) as caught:
        _ = Catalogue(overrides=path).offers
    assert str(caught.value) == f"{path}: there is no such file of overrides. Check its path."


# --- what it may not say -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said", "at"),
    [
        # Names that are not there.
        (f"rates:\n  {T4}s: {{price: $1/h, provenance: assumed, source: x}}",
         f"unknown offer '{T4}s'.*Did you mean '{T4}'\\?", "4:3"),
        ("purchases:\n  edge/raspberry-pi5: {price: $1, provenance: assumed, source: x}",
         "unknown offer 'edge/raspberry-pi5'.*Did you mean 'edge/raspberry-pi-5'\\?", "4:3"),
        ("discounts:\n  awss: {share: 5 %, provenance: assumed, source: x}",
         "unknown provider 'awss'.*Did you mean 'aws'\\?", "4:3"),
        ("services:\n  azur: {}", "unknown provider 'azur'.*Did you mean 'azure'\\?", "4:3"),
        ("assumptions:\n  electricty: {value: $1/kWh, source: x}",
         "unknown key 'electricty'.*Did you mean 'electricity'\\?", "4:3"),
        ("assumptions:\n  schema_version: {value: 2}", "unknown key 'schema_version'", "4:3"),
        ("rate:\n  x: 1", "unknown key 'rate'.*Did you mean 'rates'\\?", "3:1"),
        # A rate for what is bought, a purchase for what is rented.
        (f"purchases:\n  {T4}: {{price: $9000, provenance: assumed, source: x}}",
         f"{T4} is rented, so it has no purchase that could change. Give its price under rates", "4:3"),
        (f"rates:\n  {PI}: {{price: $1/h, provenance: assumed, source: x}}",
         f"{PI} is bought, so it has no rate that could change. Give its price under purchases", "4:3"),
        ("discounts:\n  edge: {share: 5 %, provenance: assumed, source: x}",
         "edge rents out nothing that could change. Give its price under purchases", "4:3"),
        # Units and values; the place is that of the inner key.
        (f"rates:\n  {T4}:\n    price: 0.41\n    provenance: assumed\n    source: x",
         r"price: '0.41' is not a money per time with its unit \(allowed units: \$\{number\}/h", "5:12"),
        (f"rates:\n  {T4}:\n    price: $0.41/GB\n    provenance: assumed\n    source: x",
         r"'\$0.41/GB' is not a money per time", "5:12"),
        (f"rates:\n  {T4}:\n    price: $-0.41/h\n    provenance: assumed\n    source: x",
         r"price: Input should be greater than or equal to 0 \(got '\$-0.41/h'\)", "5:12"),
        (f"rates:\n  {T4}:\n    price: $383/h\n    provenance: assumed\n    source: x",
         "absurd for 4 vCPUs and 1 accelerators.*by the month", "5:12"),
        (f"rates:\n  {T4}:\n    price: $1/h\n    low: $2/h\n    provenance: assumed\n    source: x",
         "the price must lie between low and high", "5:5"),
        (f"rates:\n  {T4}:\n    price: $1/h\n    provenance: assumed", "'source' is missing", "5:5"),
        (f"rates:\n  {T4}:\n    price: $1/h\n    source: x\n    provenence: assumed",
         "unknown key 'provenence'", "7:5"),
        (f"rates:\n  {T4}: $0.41/h", "valid dictionary", "4:40"),
        (f"purchases:\n  {PI}:\n    price: $60/month\n    provenance: assumed\n    source: x",
         r"price: '\$60/month' is not a money with its unit", "5:12"),
        (f"purchases:\n  {PI}:\n    price: $-60\n    provenance: assumed\n    source: x",
         "greater than or equal to 0", "5:12"),
        (f"purchases:\n  {PI}:\n    price: $60\n    provenance: assumed\n    source: x\n    as_of: 2999-01-01",
         "is in the future", "8:12"),
        ("discounts:\n  aws:\n    share: 100 %\n    provenance: assumed\n    source: x", "less than 1", "5:12"),
        ("discounts:\n  aws:\n    share: -5 %\n    provenance: assumed\n    source: x",
         "greater than or equal to 0", "5:12"),
        ("discounts:\n  aws:\n    share: 5 W\n    provenance: assumed\n    source: x", "not a fraction", "5:12"),
        ("services:\n  aws:\n    storage:\n      price: $1/GB\n      provenance: assumed\n      source: x",
         r"not a money per GB and month with its unit \(allowed units: \$\{number\}/GB/month", "6:14"),
        ("services:\n  aws:\n    storage:\n      prize: $1/GB/month\n      provenance: assumed\n      source: x",
         "unknown key 'prize'", "6:7"),
        ("assumptions:\n  electricity:\n    value: $0.3/h\n    source: x",
         r"value: '\$0.3/h' is not a money per energy with its unit \(allowed units: \$\{number\}/kWh", "5:12"),
        ("assumptions:\n  electricity:\n    value: $-0.3/kWh\n    source: x", "greater than or equal to 0", "5:12"),
        ("assumptions:\n  servers_per_person:\n    value: 0\n    source: x", "greater than 0", "5:12"),
        ("assumptions:\n  electricity:\n    value: $0.3/kWh", "'source' is missing", "5:5"),
        ("assumptions:\n  electricity: $0.3/kWh", "valid dictionary", "4:16"),
        ("assumptions:\n  electricity:", "valid dictionary", "4:15"),
        ("assumptions:", "valid dictionary", "3:13"),
        ("rates:", "valid dictionary", "3:7"),
    ],
)  # fmt: skip
def test_a_fault_is_named_with_its_line(tmp_path: Path, text: str, said: str, at: str) -> None:
    # In front, so that a place counted from the wrong root would show.
    known = overridden(tmp_path, f"services: {{}}\n{text}\n" if "services:" not in text else f"rates: {{}}\n{text}\n")  # fmt: skip
    with pytest.raises(InputError) as caught:
        _ = known.offers, known.assumptions
    assert caught.value.where == f"{tmp_path / 'mine.yaml'}:{at}", str(caught.value)
    assert re.search(said, str(caught.value))
    assert "Annotated" not in str(caught.value), "how a record is built is of no use here"


def test_the_names_that_would_do_are_given(tmp_path: Path) -> None:
    known = overridden(tmp_path, "services:\n  elsewhere: {}\n")
    with pytest.raises(UnknownName, match="Allowed: aws, azure, civo, edge, google-cloud, on-prem"):
        _ = known.offers


def test_a_fault_in_the_file_beside_the_catalogue_is_found_there(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    (folder / "overrides.yaml").write_text(RATE)
    edited(folder / "overrides.yaml", "$0.4/h", "$0.4")
    with pytest.raises(InputError, match=r"overrides\.yaml:3:\d+: price: '\$0\.4' is not a money"):
        _ = Catalogue(folder).offers


# --- records -------------------------------------------------------------------------------------


def test_offers_and_assumptions_come_back_from_json_to_the_last_digit(tmp_path: Path) -> None:
    known = overridden(
        tmp_path, "discounts:\n  civo: {share: 33.3 %, provenance: published, source: ours}\n"
    )
    monthly = Catalogue().offer("civo/standard-2c-4g/any/on-demand")
    assert isinstance(monthly.machine, RentedOffer)
    assert len(str(monthly.machine.rate.price)) > 20, "a price by the month is no short decimal"
    for offer in (*Catalogue().offers.values(), *known.offers.values()):
        again = Offer.model_validate_json(offer.model_dump_json())
        assert again == offer
        assert type(again.machine) is type(offer.machine)
        assert again.model_dump_json() == offer.model_dump_json()
        if isinstance(offer.machine, RentedOffer) and isinstance(again.machine, RentedOffer):
            assert str(again.machine.rate.price) == str(offer.machine.rate.price)
    said = known.assumptions
    assert Assumptions.model_validate_json(said.model_dump_json()) == said
    assert isinstance(
        Assumptions.model_validate_json(said.model_dump_json()).electricity.value, Decimal
    )


def test_offers_and_assumptions_go_to_worker_processes() -> None:
    known = Catalogue()
    records = [*known.offers.values(), known.assumptions]
    assert in_order(LocalProcesses(1), as_it_came, records) == records


def as_it_came(record: Any) -> Any:
    return record


def test_a_file_gives_the_same_offers_twice(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(RATE)
    file, listed = OverrideFile(path), Catalogue().offers
    assert file.offers(file.offers(listed)) == file.offers(listed)
    assert listed == Catalogue().offers, "what was given is left alone"
