"""Measurement → profile: the service times a simulation may draw from, and their range."""

from bench.profile.elsewhere import Elsewhere
from bench.profile.kept import keep
from bench.profile.profile import Profile, SampleEnergy, build_profile, file_name
from bench.profile.projection import Refused

__all__ = [
    "Elsewhere",
    "Profile",
    "Refused",
    "SampleEnergy",
    "build_profile",
    "file_name",
    "keep",
]
