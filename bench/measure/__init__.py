"""The real model on the real backend, timed step by step."""

from bench.measure.measurement import ArmMeasurement, Measurement, PowerReading
from bench.measure.procedure import ArmRequest, measure_arm, plan_arms
from bench.measure.tasks import STEPS

__all__ = [
    "STEPS",
    "ArmMeasurement",
    "ArmRequest",
    "Measurement",
    "PowerReading",
    "measure_arm",
    "plan_arms",
]
