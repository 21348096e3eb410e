"""How sure one can be that one side is slower than the other, asked after every round.

A bettor starts with 1 and stakes part of it on each round's difference lying above zero. Where a fair
coin orders two equal sides, a difference of +x is as likely as one of -x, whatever the machine does
meanwhile: the wealth is then 1 on average for ever, and ever reaches K with a probability of at most 1/K
(Ville's inequality). So it may be looked at after every round, and one may stop when one likes. See Ramdas,
Grünwald, Vovk and Shafer (Statistical Science 2023, arXiv:2210.01948), section 5, on symmetric e-processes.

What is won is any odd function of the difference. Here it is most for a difference of a given size, less for
smaller ones, and less again for larger ones, as a redescending estimator has it (Cauchy's score: Huber and
Ronchetti, Robust Statistics, 2009, section 4.8): on shared machines every third process may take twice as
long as the others, and a bettor who minds that loses to the coin what the quiet rounds would show. Bettors of
several sizes play side by side; the wealth is their mean. None waits for less than the least effect that
matters, since what is smaller ends no gate: it would only take its part of the mean.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

SIZES = np.array([1.0, 3.0, 9.0])
"""Differences that bettors wait for, as multiples of the least effect that matters."""
STAKE = 0.8
"""The part of the wealth that a difference of just the right size wins or loses."""


def evidence(differences: Floats, least: float) -> Floats:
    """The wealth after each round; larger than 1 speaks for differences above zero.

    Args:
        differences: finite; of shape (…, rounds), in their order.
        least: the difference, above zero, from which on it matters.

    Returns:
        The same shape. Under "as likely +x as -x", the largest of a row is at least K with a probability of at
        most 1/K; so it is where what is as likely, with smaller differences more so than larger ones, lies
        about a point below zero.
    """
    sizes = differences[..., None, :] / (least * SIZES[:, None])
    won = 1 + STAKE * 2 * sizes / (1 + sizes**2)
    wealth: Floats = np.cumprod(won, axis=-1).mean(axis=-2)
    return wealth
