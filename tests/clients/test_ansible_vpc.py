# SPDX-License-Identifier: Apache-2.0
"""Ansible builds a VPC with two tiers and their ACLs, a port forward and static NAT, and takes it apart."""

from lab import INTERNET
from playbooks import free, play


def test_a_vpc_with_two_tiers(lab):
    made = dict(zip(("forwards", "static"), free(lab, 2)))
    changed, _ = play(lab, "vpc.yml", **made)
    assert changed == 8, "each task"
    cloud = lab.cloud()
    source_nat = cloud.listPublicIpAddresses(issourcenat=True)["publicipaddress"][0]["ipaddress"]
    database = cloud.listVirtualMachines(name="db1")["virtualmachine"][0]["nic"][0]["ipaddress"]
    web = cloud.listVirtualMachines(name="shop1")["virtualmachine"][0]["nic"][0]["ipaddress"]
    for guest in ("shop1", "shop2"):
        lab.serve(guest, 80, guest)
    lab.serve("db1", 5432, "rows")
    lab.serve("db1", 80, "more")
    # From outside.
    lab.reached("internet", made["forwards"], 80, "shop1")
    lab.reached("internet", made["static"], 80, "shop2")
    # Between the tiers, by ACL only.
    lab.reached("shop1", database, 5432, "rows")
    assert lab.fetch("shop1", database, 80) is None and not lab.pings("shop1", database)
    assert lab.fetch("db1", web, 80) is None and not lab.pings("db1", web)
    # To the outside: one address for the VPC, but for who has one of his own.
    lab.leaves_as("shop1", source_nat)
    lab.leaves_as("shop2", made["static"])
    assert lab.fetch("db1", INTERNET) is None and not lab.pings("db1", INTERNET)

    changed, _ = play(lab, "vpc.yml", **made)
    assert changed == 0, "a second run changes nothing"

    changed, _ = play(lab, "vpc-absent.yml", **made)
    assert changed == 8
    lab.is_empty()
