"""A pool whose requests are advanced by compiled code between control events."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import simpy

from bench.requests import OnAnswers, Requests
from bench.simulate.fast import kernel
from bench.simulate.fast.link import cross, wait_for_opening
from bench.simulate.fast.state import (
    REGISTERS,
    PoolData,
    as_input,
    more_slots,
    new_output,
    new_slots,
    new_state,
    settings_of,
)
from bench.simulate.moments import control_at
from bench.simulate.plane import Calm, PoolSpec, Seen, Trigger

SLOTS = 1024
OUTPUT_ROWS = 1 << 14


class Pool:
    """See :class:`bench.simulate.plane.Pool`."""

    def __init__(
        self,
        env: simpy.Environment,
        spec: PoolSpec,
        requests: Iterator[Requests],
        on_answers: OnAnswers,
    ) -> None:
        self._env, self._spec, self._on_answers = env, spec, on_answers
        self._settings, self._state = settings_of(spec), new_state(spec)
        self._slots = new_slots(spec.users or SLOTS)
        self._out = new_output(max(OUTPUT_ROWS, 4 * spec.users))
        self._registers = self._state.registers[0]
        self._registers["free"] = 0 if spec.users else SLOTS
        self._chunks = requests if spec.users else self._at_the_queue(requests)
        self._held = Requests.none()
        self._rows = as_input(self._held)
        self._reached = -1
        self._quiet_before = 0
        self.watch_wake = self.watch_empty = False
        self.on_trigger: Callable[[Trigger], None] = lambda trigger: None
        self._stirred = env.event()
        if spec.users:
            while len(self._held) <= spec.users and not self._registers["last"]:
                self._more_input()
            kernel.start_users(self._data, spec.users)

    @property
    def _data(self) -> PoolData:
        return PoolData(self._state, self._slots, self._settings, self._rows, self._out)

    def _at_the_queue(self, requests: Iterator[Requests]) -> Iterator[Requests]:
        crossed = cross(requests, self._spec.uplink)
        return crossed if self._spec.opens is None else wait_for_opening(crossed, self._spec.opens)

    def run(self, until: int) -> None:
        while True:
            control = min(self._env.peek(), until)
            self._advance(min(int(control), until - 1), last=control >= until)
            if self._triggered():
                continue
            if control >= until:
                break
            self._env.step()
        self._env.run(until=until)
        self._flush()

    def _triggered(self) -> bool:
        """Tell of what was watched for, in the order in which it happened."""
        registers = self._registers
        woken, emptied = int(registers["woken"]), int(registers["emptied"])
        if registers["stirred"]:
            registers["stirred"] = 0
            control_at(self._env, int(registers["now"]), self._no_longer_calm)
            return True
        if not woken and not emptied:
            return False
        registers["woken"] = registers["emptied"] = 0
        for happened, trigger in sorted([(woken, "wake"), (emptied, "empty")]):
            if happened:
                control_at(self._env, int(registers["now"]), self._calls(trigger))
        return True

    def _no_longer_calm(self) -> None:
        registers = self._registers
        self._stirred.succeed((int(registers["looked"]), int(self._env.now - registers["period"])))

    def _calls(self, trigger: str) -> Callable[[], None]:
        return lambda: self.on_trigger(trigger)  # type: ignore[arg-type]

    def _advance(self, until: int, last: bool) -> None:
        if until == self._reached and not last:  # several control events at one moment
            return
        registers = self._registers
        if until < self._quiet_before:  # to call compiled code takes longer than most ticks
            registers["now"] = self._reached = until
            return
        registers["watch_wake"], registers["watch_empty"] = self.watch_wake, self.watch_empty
        while True:
            status = kernel.advance(self._data, until, last)
            if status == kernel.REACHED:
                self._reached = int(registers["now"])
                self._quiet_before = min(int(registers["next"]), int(registers["look"]))
                break
            if status == kernel.NEEDS_INPUT:
                self._more_input()
            elif status == kernel.NEEDS_OUTPUT:
                self._flush()
                if len(self._out) <= registers["used"] + 1:
                    self._out = new_output(4 * len(self._out))
            else:
                self._slots, free = more_slots(self._slots, int(registers["free"]))
                registers["free"] = free
        self.watch_wake, self.watch_empty = (
            bool(registers["watch_wake"]),
            bool(registers["watch_empty"]),
        )

    def _more_input(self) -> None:
        registers = self._registers
        rest = self._held.take(slice(int(registers["cursor"]), None))
        chunk = next(self._chunks, None)
        if chunk is None:
            registers["last"] = 1
        else:
            rest = Requests.joined(rest, chunk)
        self._held, self._rows = rest, as_input(rest)
        registers["cursor"], registers["rows"] = 0, len(rest)

    def _flush(self) -> None:
        written = int(self._registers["written"])
        if written:
            self._on_answers(self._out[:written])
            self._registers["written"] = 0

    def _act(self, action: Callable[..., None], *arguments: int) -> None:
        """Control acts at the present moment, up to whose end requests have been advanced."""
        registers = self._registers
        if len(self._out) - registers["written"] <= registers["used"] + 1:
            self._flush()
            if len(self._out) <= registers["used"] + 1:
                self._out = new_output(2 * int(registers["used"]) + 2)
        registers["watch_wake"], registers["watch_empty"] = self.watch_wake, self.watch_empty
        now = int(self._env.now)
        self._reached, self._quiet_before = -1, 0
        registers["low"], registers["high"] = 1, 0  # whoever looks next must decide
        action(self._data, *arguments, now)
        self.watch_wake, self.watch_empty = (
            bool(registers["watch_wake"]),
            bool(registers["watch_empty"]),
        )
        self._triggered()

    def add(self, server: int) -> None:
        self._act(kernel.add_server, server)

    def retire(self, server: int) -> None:
        self._act(kernel.retire_server, server)

    def fail(self, server: int) -> None:
        self._act(kernel.fail_server, server)

    def give_work(self, items: int) -> None:
        self._act(kernel.give_work, items)

    def stirred(self, calm: Calm) -> simpy.Event:
        registers = self._registers
        registers["look"], registers["looked"] = calm.since + calm.period, calm.busy
        registers["period"], registers["low"], registers["high"] = calm.period, calm.low, calm.high
        self._quiet_before = min(self._quiet_before, calm.since + calm.period)
        self._stirred = self._env.event()
        return self._stirred

    def left(self, server: int) -> int:
        return int(self._state.servers["left"][server])

    def seen(self) -> Seen:
        # Autoscalers look every few seconds of a day: one conversion for all registers.
        counts = dict(zip(REGISTERS, self._registers.item(), strict=True))
        now = max(int(self._env.now), counts["now"])
        batches, other = kernel.remaining(self._state.servers, now)
        return Seen(
            waiting=counts["waiting"],
            in_service=counts["in_service"],
            busy=counts["busy"] - batches,
            filling=counts["filling"] - other,
            batches=counts["batches"],
            served=counts["served"],
            work_left=counts["work"],
            work_done=counts["work_done"],
            work_ended=counts["work_ended"],
        )
