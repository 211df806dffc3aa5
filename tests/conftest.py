"""What every test may use: the lab's fixtures."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # the lab is a package of the tests

pytest_plugins = ["lab.plugin", "changed", "host_locks"]
