"""Simulated days of requests against a deployment, from measured service times."""

from bench.simulate.bounds import has_closed_loop, least_response_s, why_impossible
from bench.simulate.cloud import admission_of, largest_batch
from bench.simulate.day import BINS, Day, day_of, days_of, event_trace, table_of_days
from bench.simulate.demand import expected_requests, mean_rate, sites_of, workload_in_words
from bench.simulate.line import least_usage, server_rate
from bench.simulate.plane import Routing
from bench.simulate.replay import replay
from bench.simulate.results import (
    DeploymentResult,
    Holding,
    OtherWork,
    Replication,
    Simulation,
    Usage,
)
from bench.simulate.run import METHODS, first_job, prepare, requests_of, simulate, simulate_all
from bench.simulate.scaling import SCALING, Scaling, grown
from bench.simulate.service import ServiceTimes, cooled, correlation_length
from bench.simulate.sized import sized

__all__ = [
    "BINS",
    "METHODS",
    "SCALING",
    "Day",
    "DeploymentResult",
    "Holding",
    "OtherWork",
    "Replication",
    "Routing",
    "Scaling",
    "ServiceTimes",
    "Simulation",
    "Usage",
    "admission_of",
    "cooled",
    "correlation_length",
    "day_of",
    "days_of",
    "event_trace",
    "expected_requests",
    "first_job",
    "grown",
    "has_closed_loop",
    "largest_batch",
    "least_response_s",
    "least_usage",
    "mean_rate",
    "prepare",
    "replay",
    "requests_of",
    "server_rate",
    "simulate",
    "simulate_all",
    "sites_of",
    "sized",
    "table_of_days",
    "why_impossible",
    "workload_in_words",
]
