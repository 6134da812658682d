"""The modules of the benchmark are found from its folder, as when its script runs."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
