# SPDX-License-Identifier: Apache-2.0
"""Ansible builds a network with addresses, firewall, egress, a port forward and static NAT, and takes it apart."""

from lab import INTERNET
from playbooks import free, play


def test_a_network_for_an_application(lab):
    made = dict(zip(("forwards", "static"), free(lab, 2)))
    changed, _ = play(lab, "network.yml", **made)
    assert changed == 7, "each task"
    lab.serve("web1", 80, "one")
    lab.serve("web2", 22, "two")
    lab.reached("internet", made["forwards"], 8080, "one")
    lab.reached("internet", made["static"], 22, "two")
    assert lab.pings("internet", made["static"]) and not lab.pings("internet", made["forwards"])
    assert lab.fetch("internet", made["static"], 80) is None, "not opened"
    assert not lab.pings("web1", INTERNET), "egress is denied but to web servers"
    assert lab.fetch("web1", INTERNET) is not None

    changed, _ = play(lab, "network.yml", **made)
    assert changed == 0, "a second run changes nothing"

    changed, _ = play(lab, "network-absent.yml", **made)
    assert changed == 7
    lab.is_empty()
