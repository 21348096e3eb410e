"""Measurement → profile: the service times a simulation may draw from, and their range."""

from bench.profile.calibrated import calibrated_settings, left_one_out
from bench.profile.elsewhere import Elsewhere
from bench.profile.growth import (
    NO_GROWTH,
    Growth,
    Joined,
    MeasuredSizes,
    SizeClass,
    better,
    growth_of,
    work_of,
)
from bench.profile.kept import keep
from bench.profile.kept_calibrations import keep_calibration, place_for
from bench.profile.profile import Profile, SampleEnergy, build_profile, file_name
from bench.profile.projection import Projected, Projector, Refused, Subject

__all__ = [
    "NO_GROWTH",
    "Elsewhere",
    "Growth",
    "Joined",
    "MeasuredSizes",
    "Profile",
    "Projected",
    "Projector",
    "Refused",
    "SampleEnergy",
    "SizeClass",
    "Subject",
    "better",
    "build_profile",
    "calibrated_settings",
    "file_name",
    "growth_of",
    "keep",
    "keep_calibration",
    "left_one_out",
    "place_for",
    "work_of",
]
