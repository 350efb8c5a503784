"""Makes the Hub's own client retry failed requests, for models and data sets alike."""

import time
from functools import cache
from typing import Any

# Seconds before each retry. Once a request has failed this often, its host counts as down, and others are tried only
# once until one succeeds, so that the libraries' own retries and threads wait for an outage only once.
DELAYS = (0.25, 0.5, 1.0, 2.0, 4.0)
BUSY = (408, 429, 500, 502, 503, 504)
TIMEOUT_S = 30.0  # until an answer begins, where the library itself would wait without limit


@cache
def be_patient() -> None:
    """Let huggingface_hub, and so datasets and transformers, retry every failed request; by default it retries some."""
    import httpx2
    from huggingface_hub import get_session, set_client_factory

    down: set[bytes] = set()  # hosts; shared by threads, which only add to it and discard from it

    class PatientClient(httpx2.Client):
        def send(self, request: httpx2.Request, **kwargs: Any) -> httpx2.Response:
            timeouts = request.extensions.get("timeout", {})
            limits = {kind: timeouts.get(kind) or TIMEOUT_S for kind in ("connect", "read", "write", "pool")}
            request.extensions = {**request.extensions, "timeout": limits}
            if request.method not in ("GET", "HEAD"):
                return super().send(request, **kwargs)
            host = request.url.netloc
            for delay in (*DELAYS, None):
                last = delay is None or host in down
                try:
                    response = super().send(request, **kwargs)
                except httpx2.TransportError:
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

    hooks = get_session().event_hooks  # the library's own: offline mode, and request ids
    set_client_factory(lambda: PatientClient(event_hooks=hooks, follow_redirects=True, timeout=None))
