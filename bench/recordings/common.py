"""The Common Log Format: ``host ident user [time] "request" status bytes``, and what may follow."""

from __future__ import annotations

from bench.recordings._access_log import COMMON, AccessLog

TITLE = "the Common Log Format"
IS_LOG = True
_FORM = AccessLog(rf'{COMMON}(?! ")', TITLE)
fields, chunks = _FORM.fields, _FORM.chunks
