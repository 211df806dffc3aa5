"""For plain pyinfra, which runs this file first: where gpurig is found in a clone."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "src"))
