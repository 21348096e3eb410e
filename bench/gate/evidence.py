"""How sure one can be that one side is slower than the other, asked after every round.

A bettor starts with 1 and stakes part of it on each round's difference lying above zero. Where a fair
coin orders two equal sides, a difference of +x is as likely as one of -x, whatever the machine does
meanwhile: the wealth is then 1 on average for ever, and ever reaches K with a probability of at most 1/K
(Ville's inequality). So it may be looked at after every round, and one may stop when one likes.

The stakes are tanh(λs), s being the difference in units of those before it: won, the round multiplies the
wealth by 1 + tanh(λs), which is exp(λs)/cosh(λs), the symmetric e-process of Ramdas, Grünwald, Vovk and
Shafer (Statistical Science 2023, arXiv:2210.01948), section 5. The wealth here is the mean over several λ, which
is one of these again. No round, however wild, wins or loses more than twice or all of what is there.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

STAKES = np.array([0.1, 0.2, 0.4, 0.8, 1.6])
LARGEST = 3.0
"""Differences of more units than so many count as so many."""


def evidence(differences: Floats) -> Floats:
    """The wealth after each round; larger than 1 speaks for differences above zero.

    Args:
        differences: finite; of shape (…, rounds), in their order.

    Returns:
        The same shape. Under "as likely +x as -x, or lower", the largest of a row is at least K with a
        probability of at most 1/K.
    """
    won = 1 + np.tanh(STAKES[:, None] * scaled(differences)[..., None, :])
    wealth: Floats = np.cumprod(won, axis=-1).mean(axis=-2)
    return wealth


def scaled(differences: Floats) -> Floats:
    """Each in units of the median size of those before it, so that the unit is known before the bet."""
    sizes = np.abs(differences)
    units = np.ones_like(sizes)
    if sizes.shape[-1]:
        units[..., 0] = sizes[..., 0]  # the first has nothing before it: only its sign counts
    for round_ in range(1, sizes.shape[-1]):
        units[..., round_] = np.median(sizes[..., :round_], axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.where(differences == 0, 0.0, differences / units)
    return np.clip(found, -LARGEST, LARGEST)
