"""Fixtures that several test files share."""

from __future__ import annotations

import os

# Before torch is imported: tensors here are tiny, and threads would wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


def pytest_addoption(parser: pytest.Parser) -> None:
    """How much of what is drawn at random is tried."""
    parser.addoption("--kills", type=int, default=3, help="trainings that are killed (3)")


@pytest.fixture
def kills(request: pytest.FixtureRequest) -> int:
    """How many trainings are killed and resumed."""
    return request.config.getoption("--kills")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets: MCR_REAL_DATA, or shared/data beside the repository.

    Without it a test is skipped; where MCR_REQUIRE_REAL_DATA is set that is a failure.
    """
    folder = Path(os.environ.get("MCR_REAL_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        reason = f"no real data: {folder} is not a folder (MCR_REAL_DATA names another)"
        if os.environ.get("MCR_REQUIRE_REAL_DATA"):
            pytest.fail(reason)
        pytest.skip(reason)
    return folder
