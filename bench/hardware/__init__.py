"""Devices, priced offers, regions and local assumptions: loading, checks and look-up.

Everything here is read from ``hardware_profiles/``; nothing is a constant in code.
"""

from bench.hardware.assumptions import Assumption, Assumptions, IntensityKind
from bench.hardware.catalogue import Catalogue, Excerpt
from bench.hardware.checks import age_warnings, check_current, expired
from bench.hardware.devices import DataSheet, Device, DeviceKind
from bench.hardware.offers import (
    Billing,
    Egress,
    Location,
    Offer,
    PurchasedOffer,
    RentedOffer,
    Services,
    Tier,
)
from bench.hardware.published import PublishedModel, PublishedResult
from bench.hardware.refresh import Refresh, as_patch, live_items, refresh
from bench.hardware.regions import Intensity, Region
from bench.hardware.tables import read_rows
from bench.hardware.timings import Key, Network, Part, Regime, Setting, Timings

__all__ = [
    "Assumption",
    "Assumptions",
    "Billing",
    "Catalogue",
    "DataSheet",
    "Device",
    "DeviceKind",
    "Egress",
    "Excerpt",
    "Intensity",
    "IntensityKind",
    "Key",
    "Location",
    "Network",
    "Offer",
    "Part",
    "PublishedModel",
    "PublishedResult",
    "PurchasedOffer",
    "Refresh",
    "Regime",
    "Region",
    "RentedOffer",
    "Services",
    "Setting",
    "Tier",
    "Timings",
    "age_warnings",
    "as_patch",
    "check_current",
    "expired",
    "live_items",
    "read_rows",
    "refresh",
]
