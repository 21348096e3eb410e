"""The profiles a simulation or a plan needs: measured here, kept, published, or projected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench.errors import InputError, MeasurementInvalid, UnknownName
from bench.hardware import Catalogue, Offer, Refresh, as_patch, expired, live_items, refresh
from bench.measure import FailedArm, task_work
from bench.plan import Runs, Unknown, together
from bench.profile import Elsewhere, Profile, Refused, calibrated_settings, file_name, keep
from bench.scenario import STAGE, Arm, Choice, ResolvedScenario
from bench.store import Run, read_record

TODAYS_PRICE = "Give today's price in a file of overrides (--overrides)"
STAND_IN = "Measure on such a machine, or name it in `stands_for` of the device that was measured"
BEST_KNOWN = "best-known"
"""The backend of an arm whose figures were published or projected: the runtime known best there."""


def load_profiles(folder: Path) -> dict[str, Profile]:
    """The profiles in ``folder`` (or in the ``profiles`` folder of a run), by arm.

    Raises:
        InputError: there are none, or one cannot be read.
    """
    inner = folder / "profiles"
    found = sorted((inner if inner.is_dir() else folder).glob("*.json"))
    if not found:
        raise InputError(
            "no profile found",
            where=str(folder),
            allowed="a folder of profiles, or a run with one, as `bench measure` writes it",
        )
    profiles = [read_record(path, Profile) for path in found]
    return {profile.arm: profile for profile in profiles}


def own_profiles(run: Run) -> dict[str, Profile]:
    """Those in the run's folder, if there are any."""
    return load_profiles(run.path) if any((run.path / "profiles").glob("*.json")) else {}


def keep_profiles(folder: Path, name: str, device: str | None = None) -> list[Path]:
    """Keep the profiles of a run as those of the device ``name``, for other machines.

    ``device``: only the run's profiles of this device. Returns the files written.

    Raises:
        InputError: there are none, or they cannot be kept.
    """
    found = load_profiles(folder).values()
    chosen = [profile for profile in found if device in (None, profile.device)]
    if not chosen:
        raise UnknownName("device", str(device), {p.device for p in found}, where="--device")
    return keep(chosen, name, Catalogue())


def kept_profiles(scenario: ResolvedScenario, catalogue: Catalogue) -> dict[str, Profile]:
    """The kept profiles of the devices that a scenario names, by arm.

    Raises:
        InputError: one of its devices has none, and nothing can be projected to it.
    """
    found: dict[str, Profile] = {}
    task = Path(scenario.scenario.task.name).stem
    for device in sorted({arm.device.name for arm in scenario.distinct_arms}):
        folder = catalogue.kept(device, task)
        if folder.is_dir():
            found.update(load_profiles(folder))
        elif catalogue.device(device).data_sheet is None:
            raise InputError(
                f"no profiles of {task} on {device} are kept", where=str(catalogue.folder),
                todo="Give those of a run: --profiles RUN",
            )  # fmt: skip
    return found


def live_prices() -> tuple[Refresh, str]:
    """The catalogue's prices as a live source has them today, and a patch of the differences.

    Raises:
        MissingRequirement: the extra ``prices`` is not installed.
        InputError: the source cannot be reached.
    """
    catalogue = Catalogue()
    live = live_items()
    found = refresh(catalogue, live.items, datetime.now(UTC).date(), live.failed)
    return found, as_patch(catalogue.folder, found.changes)


def require_task(scenario: ResolvedScenario, profiles: Mapping[str, Profile]) -> None:
    """Refuse profiles of another task.

    Raises:
        InputError: the first of them.
    """
    task = scenario.scenario.task.name
    for arm in scenario.distinct_arms:
        measured = profiles[arm.name].task if arm.name in profiles else task
        if Path(measured).stem != Path(task).stem:
            raise InputError(
                f"the profile of {arm.name} is of another task: {measured}, not {task}",
                where="--profiles",
            )


def all_profiles(
    run: Run, scenario: ResolvedScenario, failed: Sequence[FailedArm]
) -> tuple[dict[str, Profile], dict[str, str]]:
    """The profiles of a run, those from elsewhere among them, and why some arms have none.

    What is found elsewhere is kept in the run, beside what was measured.
    """
    measured = own_profiles(run)
    unknown = {arm.arm: f"{arm.arm} was not measured: {arm.error}" for arm in failed}
    found, refused = from_elsewhere(scenario, measured, Catalogue())
    for profile in found.values():
        run.save(f"profiles/{file_name(profile.arm)}", profile)
    return {**measured, **found}, {**refused, **unknown}


def from_elsewhere(
    scenario: ResolvedScenario, measured: Mapping[str, Profile], catalogue: Catalogue
) -> tuple[dict[str, Profile], dict[str, str]]:
    """Profiles of the arms on devices that are not here, and why some have none.

    ``measured``: by arm; one of them stands for all that does not depend on the device.
    """
    by_stage = {
        arm.stage: _elsewhere(scenario, catalogue, arm.stage) for arm in scenario.distinct_arms
    }
    stages = {arm.name: arm.stage for arm in scenario.distinct_arms}
    found, refused = {}, {}
    for arm in scenario.distinct_arms:
        if arm.device.here or arm.name in measured:
            continue
        elsewhere = by_stage[arm.stage]
        kept = elsewhere.kept(arm.device.name)
        if arm.name in kept:
            found[arm.name] = kept[arm.name]
            continue
        base = _base({n: p for n, p in measured.items() if stages.get(n) == arm.stage})
        if base is None:
            refused[arm.name] = (
                f"no profile of {arm.name} is kept, and a projection needs one arm that was "
                "measured, for the sizes of inputs and answers"
            )
            continue
        try:
            found[arm.name] = elsewhere.projected(arm.name, arm.device, base)
        except Refused as error:
            refused[arm.name] = str(error)
    return found, refused


def usable(
    scenario: ResolvedScenario,
    profiles: Mapping[str, Profile],
    unknown: Mapping[str, str],
) -> tuple[ResolvedScenario, dict[str, str]]:
    """The deployments whose service times may be believed, and why the others are left out.

    ``unknown``: arms without a profile, and why.

    Raises:
        MeasurementInvalid: none is left.
    """
    excluded = {}
    for deployment in scenario.scenario.deployments:
        for arm in scenario.arms_of(deployment):
            if arm in unknown:
                excluded[deployment.name] = unknown[arm]
            elif arm in profiles and profiles[arm].status == "invalid":
                excluded[deployment.name] = f"{arm} is INVALID: {profiles[arm].status_reason}"
    if len(excluded) == len(scenario.scenario.deployments):
        raise MeasurementInvalid(
            "No deployment is left to compare. " + " ".join(f"{r}." for r in excluded.values())
        )
    return scenario.without(set(excluded)), excluded


def runs_of(
    scenario: ResolvedScenario, measured: Mapping[str, Profile], catalogue: Catalogue
) -> tuple[list[Runs], dict[str, Profile], list[Unknown]]:
    """What can run on every offer; the profiles of all arms; and offers of which nothing is known.

    A machine without accelerators runs the arms that the scenario puts on a device that may stand
    for it; the other offers run what was kept of their device, or what can be projected to it.
    """
    elsewhere, profiles = _elsewhere(scenario, catalogue), dict(measured)
    whole = [arm for arm in scenario.distinct_arms if arm.stage is None]
    base = _base({arm.name: measured[arm.name] for arm in whole if arm.name in measured})
    country = scenario.scenario.workload.country
    runs, refused, old = [], list[tuple[Offer, str, str]](), expired(catalogue.offers)
    for offer in catalogue.offers.values():
        if offer.name in old:
            refused.append((offer, old[offer.name], TODAYS_PRICE))
            continue
        arms = [arm for arm in whole if arm.name in profiles and _fits(scenario, arm, offer)]
        try:
            if not arms and offer.machine.device is not None and base is not None:
                arms = list(_there(offer, elsewhere, base, catalogue, profiles))
        except Refused as error:
            refused.append((offer, error.what, error.todo or ""))
            continue
        if arms:
            runs.append(
                Runs(offer, catalogue.region_of(offer, country), arms, _is_phone(offer, catalogue))
            )
        else:
            refused.append((offer, "nothing was measured on a device like its machine", STAND_IN))
    return runs, profiles, together(refused)


def _elsewhere(
    scenario: ResolvedScenario, catalogue: Catalogue, stage: str | None = None
) -> Elsewhere:
    task = scenario.scenario.task
    options = task.options if stage is None else {**task.options, STAGE: stage}
    return Elsewhere(
        catalogue, task.name, options, lambda: task_work(task.name, options),
        calibrated_settings(catalogue),
    )  # fmt: skip


def _is_phone(offer: Offer, catalogue: Catalogue) -> bool:
    name = offer.machine.device
    return name is not None and catalogue.device(name).kind == "phone"


def _fits(scenario: ResolvedScenario, arm: Arm, offer: Offer) -> bool:
    """Whether the arm's device stands for the machine: so says its file, or the scenario."""
    said = {
        scenario.offers[part].machine.device
        for part, own in scenario.arms.items()
        if own.name == arm.name
    }
    return offer.machine.device in {arm.device.name, *arm.device.stands_for, *said}


def _there(
    offer: Offer, elsewhere: Elsewhere, base: Profile, catalogue: Catalogue,
    profiles: dict[str, Profile],
) -> Iterator[Arm]:  # fmt: skip
    """The arms that were kept of the offer's device; otherwise a projected one."""
    device = catalogue.device(str(offer.machine.device))
    kept = elsewhere.kept(device.name)
    for name, profile in kept.items():
        profiles[name] = profile
        yield Arm(name=name, backend=Choice(name=name.partition("@")[0]), device=device)
    if not kept:
        name = f"{BEST_KNOWN}@{device.name}"
        if name not in profiles:
            profiles[name] = elsewhere.projected(name, device, base)
        yield Arm(name=name, backend=Choice(name=BEST_KNOWN), device=device)


def _base(measured: Mapping[str, Profile]) -> Profile | None:
    usable: Sequence[Profile] = [p for p in measured.values() if p.status != "invalid"]
    return usable[0] if usable else None
