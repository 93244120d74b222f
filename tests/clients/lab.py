# SPDX-License-Identifier: Apache-2.0
"""A lab of one's own for a file of tests, and packets that prove what a client made."""

import configparser
import os
import pathlib
import subprocess
import tempfile
import time

import cs
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
INTERNET = "198.51.100.10"
"""The far side's address in every lab; its web server says whom it sees."""
DEADLINE = 90
"""Seconds within which what was asked for must be so."""


def from_ini(path):
    """Endpoint, key and secret of an INI file."""
    ini = configparser.ConfigParser()
    assert ini.read(path), f"{path} cannot be read"
    section = ini["cloudstack"]
    return {name: section[name] for name in ("endpoint", "key", "secret")}


def eventually(what, check, within=DEADLINE):
    """Polls until check() gives something true, and returns it."""
    deadline = time.monotonic() + within
    while True:
        seen = check()
        if seen:
            return seen
        assert time.monotonic() < deadline, f"{what() if callable(what) else what}: not within {within} s"
        time.sleep(0.1)


class Lab:
    """An empty cloud: no network, no guest. Use it with `with`; nothing of it is left behind."""

    def __init__(self, name):
        self.name = name
        self.program = os.environ.get("OUTGATE", str(ROOT / "target/debug/outgate"))
        self.folder = tempfile.TemporaryDirectory(prefix="outgate-lab-")
        self.environment = {
            **os.environ, "OUTGATE_LABS_DIR": self.folder.name, "OUTGATE_INSTANCE": name, "NO_COLOR": "1",
            "HOME": self.folder.name, "XDG_CACHE_HOME": f"{self.folder.name}/cache",
        }

    def __enter__(self):
        self.outgate("lab", "up", "--empty")
        self.credentials = from_ini(pathlib.Path(self.folder.name) / self.name / "cloudstack.ini")
        self.environment.update({
            "CLOUDSTACK_ENDPOINT": self.credentials["endpoint"], "CLOUDSTACK_KEY": self.credentials["key"],
            "CLOUDSTACK_SECRET": self.credentials["secret"],
        })
        return self

    def __exit__(self, kind, value, traceback):
        if kind is not None:
            log = pathlib.Path(self.folder.name) / self.name / "lab.log"
            print("--- the end of lab.log", *log.read_text(errors="replace").splitlines()[-40:], sep="\n")
        self.outgate("lab", "down")
        self.folder.cleanup()

    def outgate(self, *argv, check=True, **options):
        """Runs `outgate ARGV` for this lab."""
        done = subprocess.run([self.program, *argv], env=self.environment, capture_output=True, text=True, timeout=180, **options)
        assert not check or done.returncode == 0, f"outgate {argv}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def cloud(self, method="get", **credentials):
        """The client cs, as root's admin or as whom the credentials name."""
        return cs.CloudStack(
            **{**self.credentials, **credentials}, method=method, timeout=60, poll_interval=0.05, job_timeout=120
        )

    def exec(self, place, *argv, check=True):
        """Runs a program in a place: host, internet, or a guest's or router's name."""
        return self.outgate("lab", "exec", place, "--", *argv, check=check)

    def pings(self, place, address):
        """Whether an address answers a ping, asked once."""
        return self.exec(place, "ping", "-c", "1", "-W", "3", address, check=False).returncode == 0

    def serve(self, place, port, text):
        """Lets a place answer HTTP on a port with this text."""
        web = f"/tmp/web-{place}-{port}"
        script = f'mkdir -p {web} && printf %s "$0" >{web}/index.html && busybox httpd -p {port} -h {web}'
        self.exec(place, "sh", "-c", script, text)

    def fetch(self, place, address, port=80):
        """What HTTP answers, asked once; None when nothing does."""
        done = self.exec(place, "curl", "-sf", "-m", "3", f"http://{address}:{port}/", check=False)
        return done.stdout.strip() if done.returncode == 0 else None

    def reached(self, place, address, port, text):
        """Waits until HTTP answers with this text."""
        seen = None

        def answered():
            nonlocal seen
            seen = self.fetch(place, address, port)
            return seen == text

        eventually(lambda: f"{place} gets {text!r} from {address}:{port}, not {seen!r}", answered)

    def leaves_as(self, place, address):
        """Waits until the far side sees this address when a guest asks."""
        self.reached(place, INTERNET, 80, f"you came from {address}")

    def is_empty(self):
        """Asserts that nobody's networks, guests, routers or addresses are left, in the API and as processes."""
        cloud = self.cloud()
        for command in ("listVirtualMachines", "listNetworks", "listVPCs", "listRouters", "listPublicIpAddresses"):
            eventually(f"{command} finds nothing", lambda c=command: getattr(cloud, c)(listall=True) == {})
        for command in (
            "listFirewallRules", "listEgressFirewallRules", "listPortForwardingRules", "listIpForwardingRules",
            "listLoadBalancerRules",
        ):
            assert getattr(cloud, command)(listall=True) == {}, command

        def processes():
            shown = self.exec("host", "busybox", "ps", "-o", "args").stdout
            return [line for line in shown.splitlines() if "router serve" in line or "guest serve" in line]

        eventually("no router or guest runs", lambda: not processes())

    def provided(self):
        """What the operator provides: zone, template and size, as deployVirtualMachine wants them."""
        cloud = self.cloud()
        return {
            "zoneid": cloud.listZones()["zone"][0]["id"],
            "templateid": cloud.listTemplates(templatefilter="executable")["template"][0]["id"],
            "serviceofferingid": cloud.listServiceOfferings()["serviceoffering"][0]["id"],
        }

    def offering(self, name):
        """The network offering of this name."""
        return only(self.cloud().listNetworkOfferings(name=name), "networkoffering")["id"]

    def network(self, name, offering="IsolatedNetworkEgressAllow", cloud=None, **params):
        """A network, in a VPC or not."""
        return (cloud or self.cloud()).createNetwork(
            name=name, zoneid=self.provided()["zoneid"], networkofferingid=self.offering(offering), **params
        )["network"]

    def guest(self, name, *networks, cloud=None, **params):
        """A running guest on networks, given by their ids."""
        return (cloud or self.cloud()).deployVirtualMachine(
            **self.provided(), name=name, **({"networkids": list(networks)} if networks else {}), fetch_result=True, **params
        )["virtualmachine"]


def only(reply, key):
    """The one object of a list."""
    assert set(reply) == {"count", key}, reply
    assert reply["count"] == 1 and len(reply[key]) == 1, reply
    return reply[key][0]


def refused(code, text, call, **params):
    """Asserts that a call, or its job, is refused with this code, and says this."""
    with pytest.raises(cs.CloudStackApiException) as caught:
        call(**params)
    error = caught.value.error
    assert error["errorcode"] == code, error
    assert text in error["errortext"], error
