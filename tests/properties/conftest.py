"""How hard the properties are tried: PROPERTY_EXAMPLES=2000 tries each so often, with new examples each time."""

import os

import hypothesis

MANY = os.environ.get("PROPERTY_EXAMPLES")
hypothesis.settings.register_profile(
    "ours",
    deadline=None,  # the machine may be busy
    database=None,
    derandomize=MANY is None,  # the same examples each time: a check of a commit does not depend on luck
    max_examples=int(MANY or 50),
    suppress_health_check=[hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.function_scoped_fixture],
)
hypothesis.settings.load_profile("ours")
