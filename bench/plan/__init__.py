"""Search: which deployment meets the objective at the least cost, and what a little more would buy.

``space.py`` lists the candidates, ``bounds.py`` says what each costs at the least, ``search.py``
simulates those that may still matter, and ``result.py`` is what comes of it. ``unknown.py`` puts
together what nothing can be said of.
"""

from bench.plan.result import Plan, Planned
from bench.plan.search import search
from bench.plan.space import Candidate, Runs, candidates
from bench.plan.unknown import Unknown, together

__all__ = ["Candidate", "Plan", "Planned", "Runs", "Unknown", "candidates", "search", "together"]
