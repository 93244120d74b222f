# SPDX-License-Identifier: Apache-2.0
"""A cloud for the clients: the one that the environment names, or a lab of our own.

CLOUDSTACK_ENDPOINT, CLOUDSTACK_KEY and CLOUDSTACK_SECRET name a server, or OUTGATE_CREDENTIALS an INI file. Without
them OUTGATE (the program; target/debug/outgate when unset) starts an empty lab, which is removed at the end.
"""

import configparser
import os
import pathlib
import subprocess
import tempfile

import pytest
from cs import CloudStack

ROOT = pathlib.Path(__file__).resolve().parents[2]


def from_ini(path):
    """Endpoint, key and secret of an INI file."""
    ini = configparser.ConfigParser()
    assert ini.read(path), f"{path} cannot be read"
    section = ini["cloudstack"]
    return {name: section[name] for name in ("endpoint", "key", "secret")}


def from_environment():
    """The server that the environment names, if it names one."""
    names = {name: os.environ.get(f"CLOUDSTACK_{name.upper()}") for name in ("endpoint", "key", "secret")}
    if all(names.values()):
        return names
    if "OUTGATE_CREDENTIALS" in os.environ:
        return from_ini(os.environ["OUTGATE_CREDENTIALS"])
    return None


@pytest.fixture(scope="session")
def server():
    """Endpoint, key and secret."""
    named = from_environment()
    if named:
        yield named
        return
    program = os.environ.get("OUTGATE", str(ROOT / "target/debug/outgate"))
    with tempfile.TemporaryDirectory(prefix="outgate-cs-") as folder:
        lab = ["--instance", "cs"]
        environment = {**os.environ, "OUTGATE_LABS_DIR": folder}
        subprocess.run([program, "lab", "up", "--empty", *lab], env=environment, check=True, timeout=120)
        try:
            yield from_ini(pathlib.Path(folder) / "cs" / "cloudstack.ini")
        finally:
            subprocess.run([program, "lab", "down", *lab], env=environment, check=True, timeout=120)


@pytest.fixture(scope="session", params=["get", "post"])
def cloud(request, server):
    """The client, once for each HTTP method."""
    return CloudStack(**server, method=request.param, timeout=60, poll_interval=0.1, job_timeout=120)
