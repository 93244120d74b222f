# SPDX-License-Identifier: Apache-2.0
"""cs drives load balancers; haproxy in the router answers."""

import pytest

from lab import eventually, only, refused


@pytest.fixture(scope="module")
def cloud(lab):
    """As root's admin."""
    return lab.cloud()


@pytest.fixture(scope="module")
def scene(lab, cloud):
    """A network with three web servers and an address."""
    network = lab.network("lb")["id"]
    guests = {}
    for name in ("w1", "w2", "w3"):
        guests[name] = lab.guest(name, network)
        lab.serve(name, 8080, name)
    address = cloud.associateIpAddress(networkid=network, fetch_result=True)["ipaddress"]
    return {"network": network, "guests": guests, "address": address}


def answers(lab, address, port, wanted):
    """Waits until exactly these guests answer, and no other does in ten requests more."""
    seen = set()
    eventually(f"{wanted} answer", lambda: seen.add(lab.fetch("internet", address, port)) or seen >= wanted)
    seen = {lab.fetch("internet", address, port) for _ in range(len(wanted) * 4)}
    assert seen == wanted


def test_the_life_of_a_load_balancer(lab, cloud, scene):
    address, guests = scene["address"], scene["guests"]
    reply = cloud.createLoadBalancerRule(
        publicipid=address["id"], name="front", description="Before the web", algorithm="roundrobin", publicport=80,
        privateport=8080,
    )
    assert set(reply) == {"jobid", "id"}
    made = only(eventually("the rule", lambda: cloud.listLoadBalancerRules(id=reply["id"])), "loadbalancerrule")
    assert (made["publicport"], made["privateport"], made["algorithm"]) == ("80", "8080", "roundrobin")
    assert made["publicip"] == address["ipaddress"] and made["networkid"] == scene["network"]
    assert cloud.listLoadBalancerRuleInstances(id=made["id"]) == {}
    done = cloud.assignToLoadBalancerRule(
        id=made["id"], virtualmachineids=[guests[name]["id"] for name in ("w1", "w2")], fetch_result=True
    )
    assert done == {"success": True}
    listed = cloud.listLoadBalancerRuleInstances(id=made["id"])
    assert {guest["name"] for guest in listed["loadbalancerruleinstance"]} == {"w1", "w2"}
    pairs = cloud.listLoadBalancerRuleInstances(id=made["id"], lbvmips=True)["lbrulevmidip"]
    assert {pair["loadbalancerruleinstance"]["name"] for pair in pairs} == {"w1", "w2"}
    answers(lab, address["ipaddress"], 80, {"w1", "w2"})
    third = {"vmid": guests["w3"]["id"], "vmip": guests["w3"]["nic"][0]["ipaddress"]}
    cloud.assignToLoadBalancerRule(id=made["id"], vmidipmap=[third], fetch_result=True)
    answers(lab, address["ipaddress"], 80, {"w1", "w2", "w3"})
    cloud.removeFromLoadBalancerRule(id=made["id"], virtualmachineids=[guests["w1"]["id"]], fetch_result=True)
    answers(lab, address["ipaddress"], 80, {"w2", "w3"})
    changed = cloud.updateLoadBalancerRule(id=made["id"], algorithm="source", name="sticky", fetch_result=True)["loadbalancer"]
    assert (changed["algorithm"], changed["name"]) == ("source", "sticky")
    eventually("one answers alone", lambda: len({lab.fetch("internet", address["ipaddress"], 80) for _ in range(6)}) == 1)
    # Whoever is there first, keeps the port.
    refused(
        537, made["id"], cloud.createPortForwardingRule, ipaddressid=address["id"], protocol="tcp", publicport=80,
        privateport=22, virtualmachineid=guests["w1"]["id"], fetch_result=True,
    )
    assert cloud.deleteLoadBalancerRule(id=made["id"], fetch_result=True) == {"success": True}
    assert cloud.listLoadBalancerRules(publicipid=address["id"]) == {}
    assert lab.fetch("internet", address["ipaddress"], 80) is None


def test_stickiness_and_health_checks(lab, cloud, scene):
    address, guests = scene["address"], scene["guests"]
    made = cloud.createLoadBalancerRule(
        publicipid=address["id"], name="sticky", algorithm="leastconn", publicport=8000, privateport=8080, fetch_result=True
    )["loadbalancer"]
    cloud.assignToLoadBalancerRule(
        id=made["id"], virtualmachineids=",".join(guest["id"] for guest in guests.values()), fetch_result=True
    )
    cloud.createLBStickinessPolicy(
        lbruleid=made["id"], name="by-source", methodname="SourceBased",
        param=[{"name": "tablesize", "value": "200k"}, {"name": "expire", "value": "30m"}], fetch_result=True,
    )
    policies = cloud.listLBStickinessPolicies(lbruleid=made["id"])["stickinesspolicies"]
    assert policies[0]["stickinesspolicy"][0]["methodname"] == "SourceBased"
    cloud.createLBHealthCheckPolicy(lbruleid=made["id"], pingpath="/", fetch_result=True)
    checks = cloud.listLBHealthCheckPolicies(lbruleid=made["id"])["healthcheckpolicies"]
    assert checks[0]["healthcheckpolicy"][0]["pingpath"] == "/"
    first = eventually("an answer", lambda: lab.fetch("internet", address["ipaddress"], 8000))
    assert {lab.fetch("internet", address["ipaddress"], 8000) for _ in range(6)} == {first}
    cloud.stopVirtualMachine(id=guests[first]["id"], fetch_result=True)
    eventually("another answers", lambda: lab.fetch("internet", address["ipaddress"], 8000) in set(guests) - {first})
    cloud.deleteLoadBalancerRule(id=made["id"], fetch_result=True)


def test_it_all_goes(lab, cloud, scene):
    for guest in scene["guests"].values():
        cloud.destroyVirtualMachine(id=guest["id"], expunge=True, fetch_result=True)
    cloud.deleteNetwork(id=scene["network"], fetch_result=True)
    lab.is_empty()
