"""Published times → what a device nobody measured would do, with an error that was held out.

``costs.py`` fits what each count of a network costs in a setting, ``observed.py`` holds the settings,
``likeness.py`` carries over what a network's counts do not say, ``benchmarks.py`` reads the benchmark's
table as settings, ``power.py`` knows watts, ``errors.py`` how far off answers were, ``answers.py`` holds
questions and answers, and ``project.py`` puts the one to the others.
"""

from bench.profile.projection.answers import MEASURE, Anchor, Projected, Refused, Subject
from bench.profile.projection.project import Projector

__all__ = ["MEASURE", "Anchor", "Projected", "Projector", "Refused", "Subject"]
