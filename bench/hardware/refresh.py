"""Prices as they are today: what gpuhunt's public catalogue says of the offers that are known here.

gpuhunt (MPL-2.0, extra ``prices``) gathers list and spot prices from the providers' own interfaces
once a day: Linux, shared machines, dollars per hour, without tax. Nothing here writes the catalogue.
What was seen becomes a patch that somebody reads and applies.

gpuhunt has no reserved prices and not every provider; such offers are named with the reason.
"""

from __future__ import annotations

import difflib
import importlib
import json
import logging
import os
import re
import socket
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import yaml
from pydantic import Field

from bench.documents import read
from bench.errors import InputError, MissingRequirement, UnknownName, shorten
from bench.hardware.catalogue import Catalogue
from bench.hardware.offers import Offer, ProviderFile, RentedOffer
from bench.hardware.sourced import HourPrice
from bench.record import Record

PROVIDERS = {"aws": "aws", "azure": "azure", "google-cloud": "gcp"}
"""Our name of a provider, and gpuhunt's."""
LOWEST, HIGHEST = Decimal("0.001"), Decimal(1000)
"""Dollars per hour. The smallest virtual machines cost some $0.002, and whole racks of accelerators
some hundreds: what lies outside stands for something else than a price."""
JUMP = 2
"""A price that changed by more than this factor is more often another product than a new price."""
PLACES = Decimal("0.000001")
"""gpuhunt computes with binary fractions; providers give no more than six decimals."""
TIMEOUT_S = 60.0


class Item(Protocol):
    """A row of gpuhunt's catalogue, of which these fields are read."""

    @property
    def provider(self) -> str: ...
    @property
    def instance_name(self) -> str: ...
    @property
    def location(self) -> str: ...
    @property
    def price(self) -> float: ...
    @property
    def spot(self) -> bool: ...
    @property
    def cpu(self) -> int: ...
    @property
    def memory(self) -> float: ...
    @property
    def gpu_name(self) -> str | None: ...
    @property
    def gpu_count(self) -> int: ...


class SeenPrice(Record):
    """What an offer costs now, in dollars per hour."""

    offer: str
    price: Decimal
    source: str


class RejectedRow(Record):
    """A row that names one of our offers and was not believed."""

    offer: str
    row: str
    reason: str


class Sightings(Record):
    """What a catalogue says of our rented offers."""

    prices: dict[str, SeenPrice]
    rejected: list[RejectedRow]
    unseen: dict[str, str]
    """Offers without a price, and why."""


class PriceChange(Record):
    """A price to write into the catalogue, in dollars per hour."""

    offer: str
    old: Decimal
    new: Decimal
    source: str
    as_of: date

    @property
    def confirmed(self) -> bool:
        """The price is what it was; only the day it was seen is new."""
        return self.new == self.old

    @property
    def jump(self) -> bool:
        """Changed by more than a factor of ``JUMP``: to be looked at before it is applied."""
        return not self.old / JUMP <= self.new <= self.old * JUMP


class Refresh(Record):
    """What to change, and what was seen but not believed, or not seen."""

    changes: list[PriceChange]
    rejected: list[RejectedRow]
    unseen: dict[str, str]
    failed: dict[str, str] = Field(default={})
    """Providers of which nothing was seen, and why; the others are as if nothing had happened."""


class Live(NamedTuple):
    """What a source has today."""

    items: Sequence[Item]
    failed: Mapping[str, str]
    """Our name of a provider that it has nothing of, and why."""


def refresh(
    catalogue: Catalogue,
    items: Iterable[Item],
    today: date,
    failed: Mapping[str, str] | None = None,
) -> Refresh:
    """What ``items``, seen ``today``, would change in ``catalogue``.

    A price that stayed the same is a change too where its day is older. ``failed``: as in :class:`Live`.
    """
    failed = failed or {}
    known = catalogue.offers.values()
    sightings = seen_prices([offer for offer in known if offer.provider not in failed], items)
    changes = []
    for name, seen in sightings.prices.items():
        machine = catalogue.offer(name).machine
        if not isinstance(machine, RentedOffer):
            continue
        old = machine.rate.price
        new = old if abs(seen.price - old) <= PLACES else seen.price
        if new != old or machine.rate.as_of is None or machine.rate.as_of < today:
            changes.append(
                PriceChange(offer=name, old=old, new=new, source=seen.source, as_of=today)
            )
    unseen = {offer.name: failed[offer.provider] for offer in known if offer.provider in failed}
    return Refresh(
        changes=changes,
        rejected=sightings.rejected,
        unseen=sightings.unseen | unseen,
        failed=dict(failed),
    )


def seen_prices(offers: Iterable[Offer], items: Iterable[Item]) -> Sightings:
    """The prices of ``offers`` among ``items``: same provider, machine, region and tier.

    Where zones of a region differ, the dearest counts, as in the catalogue's own prices. For AWS,
    gpuhunt keeps nothing but the cheapest zone of spot machines; the source says so.
    """
    rented = [(o, o.machine) for o in offers if isinstance(o.machine, RentedOffer)]
    rows = _rows_of(rented, items)
    listed = {_key(o, m): m.rate.price for o, m in rented if m.tier == "on_demand"}
    prices: dict[str, SeenPrice] = {}
    rejected: list[RejectedRow] = []
    unseen: dict[str, str] = {}
    for offer, machine in rented:
        if reason := _not_covered(offer, machine):
            unseen[offer.name] = reason
            continue
        key = _key(offer, machine)
        on_demand = [
            _price(row) for row in rows[key]
            if not (row.spot or _fault(row) or _other_machine(row, offer, machine))
        ]  # fmt: skip
        ceiling = min(on_demand) if on_demand else listed.get(key)
        found = []
        for row in rows[key]:
            if row.spot != (machine.tier == "spot"):
                continue
            fault = _fault(row) or _other_machine(row, offer, machine)
            if not fault and row.spot and ceiling is not None and _price(row) > ceiling:
                fault = f"spot costs more than on demand (${_dollars(ceiling)}/h)"
            if fault:
                rejected.append(RejectedRow(offer=offer.name, row=_shown(row), reason=fault))
            else:
                found.append(_price(row))
        if found:
            source = f"gpuhunt catalogue of {PROVIDERS[offer.provider]} prices"
            if offer.provider == "aws" and machine.tier == "spot":
                source += " (cheapest zone)"
            prices[offer.name] = SeenPrice(offer=offer.name, price=max(found), source=source)
        else:
            seen_any = any(entry.offer == offer.name for entry in rejected)
            unseen[offer.name] = "every row was rejected" if seen_any else "gpuhunt has no such row"
    return Sightings(prices=prices, rejected=rejected, unseen=unseen)


_Key = tuple[str, str, str]


def _key(offer: Offer, machine: RentedOffer) -> _Key:
    return PROVIDERS.get(offer.provider, offer.provider), machine.sku, machine.region


def _rows_of(
    rented: Iterable[tuple[Offer, RentedOffer]], items: Iterable[Item]
) -> Mapping[_Key, Sequence[Item]]:
    wanted = {_key(offer, machine) for offer, machine in rented}
    rows: dict[_Key, list[Item]] = defaultdict(list)
    for item in items:
        key = (item.provider, item.instance_name, _region(item))
        if key in wanted:
            rows[key].append(item)
    return rows


def _region(item: Item) -> str:
    """gpuhunt's places in Google Cloud are zones: ``us-central1-a`` is in ``us-central1``."""
    return re.sub(r"-[a-z]$", "", item.location) if item.provider == "gcp" else item.location


def _not_covered(offer: Offer, machine: RentedOffer) -> str | None:
    if offer.provider not in PROVIDERS:
        return f"gpuhunt does not gather prices of {offer.provider}"
    return "gpuhunt has no reserved prices" if machine.tier == "reserved" else None


def _fault(row: Item) -> str | None:
    """Why the row is no price of a machine, if it is none."""
    price = Decimal(str(row.price))
    if not price.is_finite():
        return "the price is no number"
    if price <= 0:
        return "a price of zero or less is a hole in the list"
    if not LOWEST <= price <= HIGHEST:
        return f"no machine costs that: outside ${LOWEST} to ${HIGHEST} per hour"
    if row.cpu <= 0 or row.memory <= 0:
        return "an accelerator without its host"
    # Google Cloud's capacity that is booked ahead for some days stands among the on-demand rows.
    if any("calendar" in flag for flag in getattr(row, "flags", ())):
        return "a price for capacity that is booked ahead"
    return None


def _other_machine(row: Item, offer: Offer, machine: RentedOffer) -> str | None:
    if row.cpu != machine.vcpus:
        return f"another machine: {row.cpu} vCPU, and the offer has {machine.vcpus}"
    if abs(row.memory - machine.memory_gib) > 0.05 * machine.memory_gib:
        return f"another machine: {row.memory:g} GiB, and the offer has {machine.memory_gib:g}"
    # A row may not say what is in it (AWS), but in Google Cloud one name has many accelerators.
    says = bool(row.gpu_count) or offer.provider == "google-cloud"
    if says and row.gpu_count != machine.accelerators:
        return f"{row.gpu_count} accelerator(s), and the offer has {machine.accelerators}"
    name = row.gpu_name if row.gpu_count else None
    if name and machine.device and not _is_called(name, machine.device):
        return f"another accelerator: {name}, and the offer has {machine.device}"
    return None


def _is_called(name: str, device: str) -> bool:
    """Whether ``H100NVL`` can be ``nvidia-h100-nvl``: some of its words, one after the other."""
    words = device.lower().split("-")
    runs = ("".join(words[a:b]) for a in range(len(words)) for b in range(a + 1, len(words) + 1))
    return name.lower().replace(" ", "").replace("-", "") in runs


def _price(row: Item) -> Decimal:
    return Decimal(_dollars(Decimal(str(row.price)).quantize(PLACES)))


def _dollars(price: Decimal) -> str:
    """Without the zeros at its end, and never with an exponent."""
    return format(price.normalize(), "f")


def _shown(row: Item) -> str:
    tier = "spot" if row.spot else "on demand"
    return f"{row.provider} {row.instance_name} {row.location} {tier} ${row.price}/h"


# --- the patch -----------------------------------------------------------------------------------


def as_patch(folder: Path, changes: Iterable[PriceChange]) -> str:
    """The edit of the offers in ``folder`` (``hardware_profiles``) that makes ``changes``.

    A unified diff for ``git apply`` in the folder that ``folder`` stands in; empty where nothing
    changes. Only the price, its source and its day are touched; ``low`` and ``high`` follow where
    the new price lies outside them. Everything else, comments too, stays as it is.

    Raises:
        UnknownName: there is no such offer.
        InputError: the file has changed since, or cannot be edited line by line.
    """
    left = {change.offer: change for change in changes}
    known: list[str] = []
    parts = []
    for path in sorted((folder / "offers").glob("*.yaml")):
        file = read(path).record(ProviderFile)
        here = {}
        for index, machine in enumerate(file.offers):
            name = machine.name_at(file.provider)
            known.append(name)
            if name in left and isinstance(machine, RentedOffer):
                here[index] = (machine, left.pop(name))
        if here:
            text = path.read_bytes().decode("utf-8")
            edited = _edited(text, path, file, here)
            parts.append(_diff(text, edited, f"{folder.name}/offers/{path.name}"))
    for name in left:
        raise UnknownName("rented offer", name, known, where=str(folder))
    return "".join(parts)


def _edited(
    text: str,
    path: Path,
    file: ProviderFile,
    changes: Mapping[int, tuple[RentedOffer, PriceChange]],
) -> str:
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    offers = list(file.offers)
    edits: list[tuple[int, int, str]] = []
    for index, (machine, change) in changes.items():
        if machine.rate.price != change.old:
            raise InputError(
                f"the price of {change.offer!r} is no longer ${_dollars(change.old)}/h",
                where=str(path), todo="Compare the prices again",
            )  # fmt: skip
        rate = _renewed(machine.rate, change)
        offers[index] = machine.model_copy(update={"rate": rate})
        mapping = _value(_value(_value(root, "offers"), index), "rate")
        edits += _edits(text, mapping, machine.rate, rate)
    for start, end, new in sorted(edits, reverse=True):
        text = text[:start] + new + text[end:]
    _check(text, path, file.model_copy(update={"offers": offers}))
    return text


def _renewed(rate: HourPrice, change: PriceChange) -> HourPrice:
    low = None if rate.low is None else min(rate.low, change.new)
    high = None if rate.high is None else max(rate.high, change.new)
    return rate.model_copy(
        update={
            "price": change.new, "low": low, "high": high,
            "source": change.source, "as_of": change.as_of,
        }
    )  # fmt: skip


def _edits(
    text: str, mapping: yaml.MappingNode, old: HourPrice, new: HourPrice
) -> Iterator[tuple[int, int, str]]:
    """Replacements (start, end, text) that turn ``old``, as written, into ``new``."""
    nodes = {key.value: (key, value) for key, value in mapping.value}
    for name in ("price", "low", "high"):
        amount = getattr(new, name)
        if amount is not None and amount != getattr(old, name):
            yield (*_span(text, nodes[name][1]), f"${_dollars(amount)}/h")
    if new.source != old.source:
        yield (*_span(text, nodes["source"][1]), _scalar(new.source))
    if new.as_of != old.as_of:
        if "as_of" in nodes:
            yield (*_span(text, nodes["as_of"][1]), str(new.as_of))
            return
        mark = nodes["source"][0].start_mark
        newline = "\r\n" if "\r\n" in text else "\n"
        apart = ", " if mapping.flow_style else newline + " " * mark.column
        yield mark.index, mark.index, f"as_of: {new.as_of}{apart}"


def _value(node: Any, step: str | int) -> Any:
    if isinstance(step, int):
        return node.value[step]
    return next(value for key, value in node.value if key.value == step)


def _span(text: str, node: yaml.Node) -> tuple[int, int]:
    """Where the value stands; a block scalar's mark is behind the line breaks that end it."""
    start, end = node.start_mark.index, node.end_mark.index
    return start, start + len(text[start:end].rstrip())


def _scalar(value: str) -> str:
    """As YAML: plain where no character could mean anything, else quoted (JSON is YAML)."""
    plain = re.fullmatch(r"[A-Za-z][A-Za-z0-9 ._/()+-]*[A-Za-z0-9)]", value)
    return value if plain else json.dumps(value, ensure_ascii=False)


def _check(text: str, path: Path, wanted: ProviderFile) -> None:
    """Read the edited text back: it must mean what was wanted, and nothing else."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        copy.write_bytes(text.encode("utf-8"))
        try:
            same = read(copy).record(ProviderFile) == wanted
        except InputError:
            same = False
    if not same:
        raise InputError(
            "the new prices cannot be put in line by line, because offers share parts of the file",
            where=str(path), todo="Change these prices by hand",
        )  # fmt: skip


def _diff(old: str, new: str, name: str) -> str:
    before, after = (re.findall(r"[^\n]*\n|[^\n]+", text) for text in (old, new))
    out = []
    for line in difflib.unified_diff(before, after, f"a/{name}", f"b/{name}"):
        out.append(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n")
    return "".join(out)


# --- gpuhunt -------------------------------------------------------------------------------------


def live_items() -> Live:
    """Rows of gpuhunt's catalogue of today, for the providers that we have offers of.

    A provider whose rows cannot be read, or are not there, costs itself and no other.

    With ``GPUHUNT_CATALOG_DIR`` set, gpuhunt reads ``aws.csv``, ``azure.csv`` and ``gcp.csv`` from
    that folder and needs no network.

    Raises:
        MissingRequirement: gpuhunt is not installed.
        InputError: its catalogue cannot be reached, or has no provider at all.
    """
    try:
        gpuhunt = importlib.import_module("gpuhunt")
    except ImportError as error:
        raise MissingRequirement(
            "Today's prices come from the Python package 'gpuhunt'. "
            'Install it with: pip install "inference-testbed[prices]".'
        ) from error
    # It logs what it cannot reach, with tracebacks, which nobody has asked for.
    logging.getLogger("gpuhunt").addHandler(logging.NullHandler())
    folder = os.environ.get("GPUHUNT_CATALOG_DIR")
    catalogue = gpuhunt.Catalog(auto_reload=False)
    waited = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT_S)  # it sets none of its own
    try:
        if folder is None:
            catalogue.load()
        found, failed = _by_provider(catalogue)
    except Exception as error:  # whatever the network or the archive hold
        raise _unreadable(_said(error), folder) from error
    finally:
        socket.setdefaulttimeout(waited)
    if len(failed) == len(PROVIDERS):
        raise _unreadable("; ".join(f"{name}: {why}" for name, why in failed.items()), folder)
    return Live(found, failed)


def _by_provider(catalogue: Any) -> tuple[list[Item], dict[str, str]]:
    found: list[Item] = []
    failed = {}
    for ours, theirs in PROVIDERS.items():
        try:
            rows = catalogue.query(provider=theirs)
        except Exception as error:  # whatever its file holds
            failed[ours] = f"gpuhunt's rows of {ours} cannot be read ({_said(error)})"
            continue
        found += rows
        if not rows:
            failed[ours] = f"gpuhunt has no prices of {ours} now"
    return found, failed


def _said(error: Exception) -> str:
    return shorten(" ".join(str(error).split()), 200)


def _unreadable(why: str, folder: str | None) -> InputError:
    return InputError(
        f"gpuhunt's catalogue cannot be read ({why})",
        where=folder,
        todo="Try again with an internet connection, or set GPUHUNT_CATALOG_DIR to a folder "
        "with its files aws.csv, azure.csv and gcp.csv",
    )
