"""Fixtures that several test files share."""

from __future__ import annotations

import os

# Before torch is imported: tensors here are tiny, and threads would wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Before transformers is: no test waits for what a hub answers.
os.environ["HF_HUB_OFFLINE"] = "1"

from collections import Counter
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
_SPOILT = pytest.StashKey[Counter[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """How much of what is drawn at random is tried."""
    parser.addoption("--kills", type=int, default=3, help="how many trainings are killed")
    parser.addoption(
        "--inputs",
        type=int,
        default=200,
        help="how many spoilt inputs the tests of hostile input try, over everything that is read",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_SPOILT] = Counter()


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    spoilt = config.stash[_SPOILT]
    if spoilt:
        told = ", ".join(f"{count:,} {what}" for what, count in sorted(spoilt.items()))
        terminalreporter.write_line(f"{spoilt.total():,} spoilt inputs: {told}")


@pytest.fixture
def spoilt_inputs(pytestconfig: pytest.Config) -> Counter[str]:
    """Counts what became of spoilt inputs; the end of the test run says it."""
    return pytestconfig.stash[_SPOILT]


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
