"""``python -m tests.limited_server LIMITS …`` is ``bench …`` with other limits of the server, in JSON."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

if __name__ == "__main__":
    from bench import cli
    from bench.serve import deployed
    from bench.serve.app import Limits

    limits = Limits(**json.loads(sys.argv.pop(1)))
    served_of = deployed.served_of
    deployed.served_of = lambda *given: replace(served_of(*given), limits=limits)
    cli.main()
