"""Where a gate's figures come from: one file each, by its name, or a file of the user's own.

``Options``: a record of its settings. ``NEEDS``: what pip installs into a side's environment for it.
``command(options, out)``: arguments of a side's Python, run in the side's folder, for one process that
leaves its results in the folder ``out``. ``figures(options, out)``: the :class:`Figure` s in there, by name.
"""

CONTRACT = ("NEEDS", "Options", "command", "figures")
