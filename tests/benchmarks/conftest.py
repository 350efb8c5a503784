import sys

from tests.conftest import HOUSE

sys.path.append(str(HOUSE / "benchmarks"))
