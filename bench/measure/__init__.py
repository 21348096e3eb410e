"""The real model on the real backend, timed step by step, and held to validity rules."""

from bench.measure.calibration import (
    CALIBRATION_FOLDER,
    THIS_HOST,
    Calibration,
    Cell,
    calibrations,
    own_folder,
)
from bench.measure.campaign import measure_all, missing_backends, plain_name
from bench.measure.environment import describe as describe_environment
from bench.measure.limits import usable_cores
from bench.measure.live import Expected, LiveAnswer, LiveArm, LiveInput
from bench.measure.measurement import (
    ArmMeasurement,
    FailedArm,
    Inputs,
    LoadResult,
    Measurement,
    Verdict,
)  # fmt: skip
from bench.measure.metering import PowerReading
from bench.measure.models import ModelFile
from bench.measure.reference_networks import NETWORKS, Making, Reference, make, unmade
from bench.measure.reference_times import (
    PRECISION,
    Timed,
    calibratable,
    format_of,
    missing_for,
    reference_times,
    version_of,
)
from bench.measure.remote import Remote, RemoteArm, is_remote
from bench.measure.task_work import task_work
from bench.measure.tasks import STEPS
from bench.measure.work import Work, count_work

__all__ = [
    "CALIBRATION_FOLDER",
    "NETWORKS",
    "PRECISION",
    "STEPS",
    "THIS_HOST",
    "ArmMeasurement",
    "Calibration",
    "Cell",
    "Expected",
    "FailedArm",
    "Inputs",
    "LiveAnswer",
    "LiveArm",
    "LiveInput",
    "LoadResult",
    "Making",
    "Measurement",
    "ModelFile",
    "PowerReading",
    "Reference",
    "Remote",
    "RemoteArm",
    "Timed",
    "Verdict",
    "Work",
    "calibratable",
    "calibrations",
    "count_work",
    "describe_environment",
    "format_of",
    "is_remote",
    "make",
    "measure_all",
    "missing_backends",
    "missing_for",
    "own_folder",
    "plain_name",
    "reference_times",
    "task_work",
    "unmade",
    "usable_cores",
    "version_of",
]
