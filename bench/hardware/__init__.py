"""Devices, priced offers and local assumptions: loading, checks and look-up.

Everything here is read from ``hardware_profiles/``; nothing is a constant in code.
"""

from bench.hardware.catalogue import Catalogue
from bench.hardware.records import (
    Assumption,
    Assumptions,
    Billing,
    Device,
    Location,
    Offer,
    PurchasedOffer,
    RentedOffer,
    Services,
)

__all__ = [
    "Assumption",
    "Assumptions",
    "Billing",
    "Catalogue",
    "Device",
    "Location",
    "Offer",
    "PurchasedOffer",
    "RentedOffer",
    "Services",
]
