"""The real model on the real backend, timed step by step, and held to validity rules."""

from bench.measure.campaign import measure_all, missing_backends, plain_name
from bench.measure.environment import describe as describe_environment
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
from bench.measure.remote import Remote, RemoteArm, is_remote
from bench.measure.task_work import task_work
from bench.measure.tasks import STEPS
from bench.measure.work import Work

__all__ = [
    "STEPS",
    "ArmMeasurement",
    "Expected",
    "FailedArm",
    "Inputs",
    "LiveAnswer",
    "LiveArm",
    "LiveInput",
    "LoadResult",
    "Measurement",
    "ModelFile",
    "PowerReading",
    "Remote",
    "RemoteArm",
    "Verdict",
    "Work",
    "describe_environment",
    "is_remote",
    "measure_all",
    "missing_backends",
    "plain_name",
    "task_work",
]
