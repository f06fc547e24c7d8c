"""What every handler test runs from is built once, before any test changes HOME, where pip keeps its cache.

Every function finds a bus and a model on loopback, as it finds an S3 and a Slack: none can reach AWS by mistake.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local.artefact import FUNCTIONS, Artefact, best
from local.bedrock import BedrockServer
from local.event_bus import EventBusServer
from nightshift.job_spec import list_jobs


@pytest.fixture(scope="session", autouse=True)
def artefact() -> Artefact:
    """The best that this machine can run of a job that moves rows; those of the others are made, too."""
    for job in list_jobs(FUNCTIONS):
        best(job)
    return best()


@pytest.fixture
def bus() -> Iterator[EventBusServer]:
    """An event bus of the test's own."""
    with EventBusServer() as server:
        yield server


@pytest.fixture
def bedrock() -> Iterator[BedrockServer]:
    """An embedding model of the test's own."""
    with BedrockServer() as server:
        yield server


@pytest.fixture
def environment(environment: dict[str, str], bus: EventBusServer, bedrock: BedrockServer) -> dict[str, str]:
    """The usual one, with a bus and a model."""
    return {**environment, **bus.env, **bedrock.env}
