"""What the tests of deployments share."""

import os
import sys
from pathlib import Path

import pytest

DEPLOY = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def helm() -> str:
    """The program, which `scripts/helm` puts beside the Python of the tests."""
    program = Path(os.environ.get("SHEAF_TEST_HELM", Path(sys.prefix, "helm", "helm")))
    assert program.exists(), f"run scripts/helm {sys.prefix}"
    return str(program)
