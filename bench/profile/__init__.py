"""Measurement → profile: the service times a simulation may draw from, and their range."""

from bench.profile.kept import keep
from bench.profile.profile import Profile, SampleEnergy, build_profile, file_name

__all__ = ["Profile", "SampleEnergy", "build_profile", "file_name", "keep"]
