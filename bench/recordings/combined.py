"""The Combined Log Format, of Apache and nginx: the common one, ``"referer" "agent"``, and what may follow."""

from __future__ import annotations

from bench.recordings._access_log import COMBINED, AccessLog

TITLE = "the Combined Log Format"
IS_LOG = True
_FORM = AccessLog(COMBINED, TITLE)
fields, chunks = _FORM.fields, _FORM.chunks
