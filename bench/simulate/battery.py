"""A battery that is drained and charged: straight lines between the moments that matter.

Plain arithmetic on numbers and arrays, compiled for the fast method.
"""

from __future__ import annotations

from bench.ticks import FOREVER, Ticks


def level_after(
    level: float,
    start: int,
    end: int,
    load: float,
    charger: float,
    capacity: float,
    begins: Ticks,
    ends: Ticks,
) -> tuple[float, int]:
    """The energy left at ``end``, and when the battery ran flat (``FOREVER``: it did not).

    Args:
        level: joules at ``start``.
        load: watts drawn all the time.
        charger: watts given from each of ``begins`` to that of ``ends``.
    """
    now, place = start, 0
    while place < len(ends) and ends[place] <= now:
        place += 1
    while now < end:
        charging = place < len(begins) and begins[place] <= now
        if place >= len(begins):
            until = end
        elif charging:
            until = min(end, ends[place])
        else:
            until = min(end, begins[place])
        gain = (charger if charging else 0.0) - load
        after = level + gain * (until - now) * 1e-9
        if after <= 0.0 and gain < 0.0:
            return 0.0, now + int(level / -gain * 1e9)
        level = min(after, capacity)
        now = until
        if charging and place < len(ends) and now >= ends[place]:
            place += 1
    return level, FOREVER


def charged_at(level: float, start: int, charger: float, begins: Ticks, ends: Ticks) -> int:
    """When a flat battery that nothing draws from has ``level`` joules; ``FOREVER``: never."""
    held = 0.0
    for place in range(len(begins)):
        if ends[place] <= start:
            continue
        begin = max(begins[place], start)
        needed = (level - held) / charger * 1e9
        if begin + needed <= ends[place]:
            return int(begin + needed)
        held += charger * (ends[place] - begin) * 1e-9
    return FOREVER
