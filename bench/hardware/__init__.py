"""Devices, priced offers, regions and local assumptions: loading, checks and look-up.

Everything here is read from ``hardware_profiles/``; nothing is a constant in code.
"""

from bench.hardware.assumptions import Assumption, Assumptions, IntensityKind
from bench.hardware.catalogue import Catalogue
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
from bench.hardware.regions import Region

__all__ = [
    "Assumption",
    "Assumptions",
    "Billing",
    "Catalogue",
    "DataSheet",
    "Device",
    "DeviceKind",
    "Egress",
    "IntensityKind",
    "Location",
    "Offer",
    "PublishedModel",
    "PublishedResult",
    "PurchasedOffer",
    "Region",
    "RentedOffer",
    "Services",
    "Tier",
]
