"""The arrows of the program: each takes a record, or several, and saves the next."""

from __future__ import annotations

from functools import partial

from bench import gather
from bench.compare import compare, what_if
from bench.cost import cost_simulation
from bench.errors import InputError, MissingRequirement
from bench.executor import here, isolated
from bench.measure import Measurement, measure_all, missing_backends
from bench.observe import observe_server
from bench.plan import candidates, search
from bench.profile import build_profile, file_name
from bench.scenario import Campaign
from bench.simulate import simulate, simulate_all
from bench.validate import Observation, observe, validate
from bench.work import Work


def measured(work: Work) -> None:
    """Measure every arm in processes of its own; write records, raw times and profiles."""
    run, campaign = work.run, work.order.to_measure
    (run.path / "profiles").mkdir(exist_ok=True)
    if work.order.profiles_given or not campaign.arms:
        run.save("measurement.json", Measurement(arms=[], failed=[]))
        return
    isolate = here if work.settings.engine == "inline" else isolated
    notify = partial(work.notify, "measure")
    measurement = measure_all(campaign, run, work.order.seed, isolate, notify)
    batches, requests = run.table("batches.parquet"), run.table("requests.parquet")
    for record in measurement.arms:
        profile = build_profile(record, batches, requests, record.task)
        run.save(f"profiles/{file_name(profile.arm)}", profile)


def simulated(work: Work) -> None:
    usable, profiles, _ = work.known
    found = simulate(
        usable, profiles, work.order.seed, work.workers, partial(work.notify, "simulate"),
        work.order.method, work.journal,
    )  # fmt: skip
    work.run.save("simulation.json", found)


def costed(work: Work) -> None:
    usable, profiles, _ = work.known
    work.run.save("costs.json", cost_simulation(usable, profiles, work.simulation))


def compared(work: Work) -> None:
    usable, profiles, excluded = work.known
    found = compare(usable, profiles, work.simulation, work.costs, excluded)
    work.run.save("comparison.json", found)


def varied(work: Work) -> None:
    usable, profiles, _ = work.known
    found = what_if(
        usable, profiles, work.simulation, work.costs, work.comparison,
        lambda others: simulate_all(
            others, profiles, work.order.seed, work.workers, partial(work.notify, "what-if"),
            work.order.method,
        ),
    )  # fmt: skip
    work.run.save("what_if.json", found)


def observed(work: Work) -> None:
    """Serve the deployment, drive it, and write every request's row."""
    assert work.order.session is not None  # noqa: S101
    record, table = observe(
        work.order.simulated, work.order.session, work.order.seed, partial(work.notify, "observe")
    )
    work.run.save_table("observed.parquet", table)
    work.run.save("observed.json", record)


def visited(work: Work) -> None:
    """Ask a live service, and write every request's row."""
    assert work.order.asking is not None  # noqa: S101
    record, table = observe_server(
        work.order.simulated, work.order.asking, work.order.seed, partial(work.notify, "observe")
    )
    work.run.save_table("observed.parquet", table)
    work.run.save("observed-run.json", record)


def validated(work: Work) -> None:
    """Simulate the same requests, and compare."""
    run = work.run
    assert work.order.session is not None  # noqa: S101
    found = validate(
        work.order.simulated, work.order.session, run.load("observed.json", Observation),
        run.table("observed.parquet"), work.order.seed, partial(work.notify, "validate"),
    )  # fmt: skip
    run.save("validation.json", found)


def planned(work: Work) -> None:
    usable, profiles, _ = work.known
    work.notify("plan", 0, 1, "what other devices would do, from published results")
    runs, everywhere, refused = gather.runs_of(usable, profiles, work.order.catalogue)
    found = search(
        usable, list(candidates(usable, runs, everywhere)), everywhere, work.order.seed,
        work.workers, refused=refused, method=work.order.method,
        notify=partial(work.notify, "plan"),
    )  # fmt: skip
    work.run.save("plan.json", found)


def require_one(campaign: Campaign) -> None:
    """Refuse at once where no arm can run here; one that cannot is reported beside the others."""
    for arm in campaign.arms:
        if not arm.device.here:
            raise InputError(
                f"{arm.name} cannot be measured here: {arm.device.name} is another machine",
                todo="`bench simulate` takes the profiles that were kept of it; to measure it, "
                "run `bench measure` there with device: this-host, then `bench keep`",
            )
    missing = missing_backends(campaign)
    if campaign.arms and len(missing) == len(campaign.arms):
        raise MissingRequirement(" ".join(dict.fromkeys(missing.values())))
