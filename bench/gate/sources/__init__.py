"""Where a gate's figures come from: one file each, by its name, or a file of the user's own.

``Options``: a record of its settings. ``NEEDS``: what pip installs into a side's environment for it.
``RESULT``: what the file or folder is called that a process leaves. ``command(options, result)``: arguments of
a side's Python, run in the side's folder, for one process that leaves ``result``. ``figures(options,
result)``: the :class:`Figure` s in there, by name; none where there is no such thing. It may have ``BY_TURNS``:
whether its program measures by turns with that of the other side (``bench/turns.py``), so that both run at once.
"""

CONTRACT = ("NEEDS", "RESULT", "Options", "command", "figures")
