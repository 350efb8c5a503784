"""The Hub's own client, made to repeat requests that fail, for models and data sets alike."""

import time
from functools import cache
from typing import Any

# Seconds before a request is repeated: a 503 or a cut connection is usually over at the second attempt. Once a
# request has failed this often its host is down, and all others are tried once until one succeeds: the retries of
# huggingface_hub and datasets, and their threads, together wait for an outage once.
DELAYS = (0.25, 0.5, 1.0, 2.0, 4.0)
BUSY = (408, 429, 500, 502, 503, 504)
TIMEOUT_S = 30.0  # for an answer to begin, where the library itself would wait without limit


@cache
def be_patient() -> None:
    """Let huggingface_hub, and with it datasets and transformers, repeat each request that fails.

    The library itself repeats only some: listing a repository's files, or starting a download, fails at once.
    """
    import httpx2
    from huggingface_hub import get_session, set_client_factory

    down: set[bytes] = set()  # hosts; threads share it, and only add to it and discard from it

    class PatientClient(httpx2.Client):
        def send(self, request: httpx2.Request, **kwargs: Any) -> httpx2.Response:
            limits = request.extensions.get("timeout", {})
            request.extensions = {
                **request.extensions,
                "timeout": {kind: limits.get(kind) or TIMEOUT_S for kind in ("connect", "read", "write", "pool")},
            }
            if request.method not in ("GET", "HEAD"):
                return super().send(request, **kwargs)
            host = request.url.netloc
            for delay in (*DELAYS, None):
                last = delay is None or host in down
                try:
                    response = super().send(request, **kwargs)
                except httpx2.TransportError:  # including a body that was cut, unless it is streamed
                    if last:
                        down.add(host)
                        raise
                else:
                    busy = response.status_code in BUSY
                    if last or not busy:
                        (down.add if busy else down.discard)(host)
                        return response
                    response.close()
                time.sleep(delay or 0)
            raise AssertionError("the last attempt returns or raises")

    hooks = get_session().event_hooks  # the library's own: offline mode, and what it says about itself
    set_client_factory(lambda: PatientClient(event_hooks=hooks, follow_redirects=True, timeout=None))
