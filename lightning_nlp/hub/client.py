"""The Hub's own client, with the patience that a failing connection needs, for models and data sets alike."""

from __future__ import annotations

import time
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx2

# Seconds before a request is made again: a 503 or a cut connection is usually over at the second attempt. Where one
# request has failed so often, its host is down: others then fail at once, until one succeeds.
DELAYS = (0.25, 0.5, 1.0, 2.0, 4.0)
BUSY = (408, 429, 500, 502, 503, 504)
TIMEOUT_S = 30.0  # for an answer to begin, where the library itself would wait without end


@cache
def be_patient() -> None:
    """Let huggingface_hub, and with it datasets and transformers, make each failing request again.

    The library does so for some requests only. Most of those before a download count as failed at the first 503, and
    one data set needs a dozen of them.
    """
    import httpx2
    from huggingface_hub import get_session, set_client_factory

    down: set[bytes] = set()  # hosts of which a request has failed to the end, and none has succeeded since

    class PatientClient(httpx2.Client):
        def send(self, request: httpx2.Request, **kwargs: Any) -> httpx2.Response:
            limits = request.extensions.get("timeout", {})
            request.extensions = {
                **request.extensions,
                "timeout": {kind: limits.get(kind) or TIMEOUT_S for kind in ("connect", "read", "write", "pool")},
            }
            if request.method not in ("GET", "HEAD"):
                return super().send(request, **kwargs)
            for delay in (*DELAYS, None):
                error: Exception | None = None
                try:
                    response = super().send(request, **kwargs)
                    if response.status_code not in BUSY:
                        down.discard(request.url.netloc)
                        return response
                except httpx2.TransportError as caught:  # a body that was cut included, unless it is streamed
                    error = caught
                if delay is None or request.url.netloc in down:
                    break
                if error is None:
                    response.close()
                time.sleep(delay)
            down.add(request.url.netloc)
            if error is not None:
                raise error
            return response

    hooks = get_session().event_hooks  # the library's own: offline mode, and what it says about itself
    set_client_factory(lambda: PatientClient(event_hooks=hooks, follow_redirects=True, timeout=None))
