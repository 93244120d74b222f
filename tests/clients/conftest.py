# SPDX-License-Identifier: Apache-2.0
"""A cloud for the clients. Each file of tests has a lab of its own; labs live side by side.

test_cs.py also runs against a server that the environment names: CLOUDSTACK_ENDPOINT, CLOUDSTACK_KEY and
CLOUDSTACK_SECRET, or OUTGATE_CREDENTIALS with an INI file. Without them OUTGATE (the program; target/debug/outgate
when unset) starts an empty lab, which is removed at the end.
"""

import os

import pytest
from cs import CloudStack

from lab import Lab, from_ini


def from_environment():
    """The server that the environment names, if it names one."""
    names = {name: os.environ.get(f"CLOUDSTACK_{name.upper()}") for name in ("endpoint", "key", "secret")}
    if all(names.values()):
        return names
    if "OUTGATE_CREDENTIALS" in os.environ:
        return from_ini(os.environ["OUTGATE_CREDENTIALS"])
    return None


@pytest.fixture(scope="module")
def lab(request):
    """A lab for one file of tests."""
    name = request.module.__name__.removeprefix("test_").replace("_", "-")[:20]
    with Lab(name) as made:
        yield made


@pytest.fixture(scope="session")
def server():
    """Endpoint, key and secret."""
    named = from_environment()
    if named:
        yield named
        return
    with Lab("cs") as made:
        yield made.credentials


@pytest.fixture(scope="session", params=["get", "post"])
def cloud(request, server):
    """The client, once for each HTTP method."""
    return CloudStack(**server, method=request.param, timeout=60, poll_interval=0.1, job_timeout=120)
