# SPDX-License-Identifier: Apache-2.0
"""cs drives NICs, secondary addresses, IP forwarding rules, updates of rules, and tags."""

import pytest

from lab import only, refused


@pytest.fixture(scope="module")
def cloud(lab):
    """As root's admin, by POST."""
    return lab.cloud("post")


@pytest.fixture(scope="module")
def scene(lab, cloud):
    """Two networks, a guest on the first, and an address."""
    one, two = lab.network("one", gateway="10.51.0.1", netmask="255.255.255.0"), lab.network("two", gateway="10.52.0.1", netmask="255.255.255.0")
    guest = lab.guest("nics", one["id"], ipaddress="10.51.0.77")
    assert guest["nic"][0]["ipaddress"] == "10.51.0.77"
    lab.serve("nics", 80, "here")
    address = cloud.associateIpAddress(networkid=one["id"], fetch_result=True)["ipaddress"]
    return {"one": one["id"], "two": two["id"], "guest": guest, "address": address}


def test_a_second_nic_comes_and_goes(lab, cloud, scene):
    guest = scene["guest"]["id"]
    added = cloud.addNicToVirtualMachine(virtualmachineid=guest, networkid=scene["two"], fetch_result=True)["virtualmachine"]
    nic = next(n for n in added["nic"] if n["networkid"] == scene["two"])
    assert nic["ipaddress"].startswith("10.52.0.") and nic["isdefault"] is False
    assert lab.pings("nics", "10.52.0.1")
    changed = cloud.updateDefaultNicForVirtualMachine(virtualmachineid=guest, nicid=nic["id"], fetch_result=True)["virtualmachine"]
    assert {n["networkid"]: n["isdefault"] for n in changed["nic"]} == {scene["one"]: False, scene["two"]: True}
    first = next(n for n in changed["nic"] if n["networkid"] == scene["one"])
    cloud.updateDefaultNicForVirtualMachine(virtualmachineid=guest, nicid=first["id"], fetch_result=True)
    left = cloud.removeNicFromVirtualMachine(virtualmachineid=guest, nicid=nic["id"], fetch_result=True)["virtualmachine"]
    assert [n["networkid"] for n in left["nic"]] == [scene["one"]]
    refused(431, "default", cloud.removeNicFromVirtualMachine, virtualmachineid=guest, nicid=first["id"], fetch_result=True)


def test_secondary_addresses_and_static_nat_to_them(lab, cloud, scene):
    nic = only(cloud.listNics(virtualmachineid=scene["guest"]["id"]), "nic")
    reply = cloud.addIpToNic(nicid=nic["id"], ipaddress="10.51.0.88")
    assert set(reply) == {"jobid", "id"}
    found = cloud.queryAsyncJobResult(jobid=reply["jobid"], fetch_result=True)["nicsecondaryip"]
    assert found["ipaddress"] == "10.51.0.88" and found["nicid"] == nic["id"]
    nic = only(cloud.listNics(virtualmachineid=scene["guest"]["id"]), "nic")
    assert [(ip["id"], ip["ipaddress"]) for ip in nic["secondaryip"]] == [(reply["id"], "10.51.0.88")]
    address = scene["address"]
    assert cloud.enableStaticNat(
        ipaddressid=address["id"], virtualmachineid=scene["guest"]["id"], vmguestip="10.51.0.88"
    )["success"] is True
    assert only(cloud.listPublicIpAddresses(id=address["id"]), "publicipaddress")["vmipaddress"] == "10.51.0.88"
    lab.exec("nics", "ip", "addr", "replace", "10.51.0.88/24", "dev", "eth0")
    cloud.createFirewallRule(ipaddressid=address["id"], protocol="tcp", startport=80, endport=80, fetch_result=True)
    lab.reached("internet", address["ipaddress"], 80, "here")
    refused(431, "", cloud.removeIpFromNic, id=reply["id"], fetch_result=True)
    cloud.disableStaticNat(ipaddressid=address["id"], fetch_result=True)
    assert cloud.removeIpFromNic(id=reply["id"], fetch_result=True) == {"success": True}
    assert only(cloud.listNics(virtualmachineid=scene["guest"]["id"]), "nic")["secondaryip"] == []


def test_an_address_of_a_stopped_guest_is_changed(lab, cloud, scene):
    guest = scene["guest"]["id"]
    nic = only(cloud.listNics(virtualmachineid=guest), "nic")["id"]
    cloud.stopVirtualMachine(id=guest, fetch_result=True)
    changed = cloud.updateVmNicIp(nicid=nic, ipaddress="10.51.0.99", fetch_result=True)["virtualmachine"]
    assert changed["nic"][0]["ipaddress"] == "10.51.0.99"
    cloud.startVirtualMachine(id=guest, fetch_result=True)
    assert "10.51.0.99/" in lab.exec("nics", "ip", "-4", "addr", "show", "dev", "eth0").stdout
    lab.serve("nics", 80, "here")


def test_ip_forwarding_rules_of_static_nat(lab, cloud, scene):
    address = scene["address"]
    for rule in cloud.listFirewallRules(ipaddressid=address["id"], fetch_list=True):
        cloud.deleteFirewallRule(id=rule["id"], fetch_result=True)
    cloud.enableStaticNat(ipaddressid=address["id"], virtualmachineid=scene["guest"]["id"])
    made = cloud.createIpForwardingRule(ipaddressid=address["id"], protocol="tcp", startport=80, endport=82, fetch_result=True)
    made = made["ipforwardingrule"]
    assert made["protocol"] == "tcp" and made["virtualmachineid"] == scene["guest"]["id"]
    assert only(cloud.listIpForwardingRules(ipaddressid=address["id"]), "ipforwardingrule")["id"] == made["id"]
    lab.reached("internet", address["ipaddress"], 80, "here")
    assert cloud.deleteIpForwardingRule(id=made["id"], fetch_result=True) == {"success": True}
    assert cloud.listIpForwardingRules(ipaddressid=address["id"]) == {}
    cloud.disableStaticNat(ipaddressid=address["id"], fetch_result=True)


def test_rules_are_updated_in_place(lab, cloud, scene):
    address = scene["address"]
    lab.serve("nics", 81, "there")
    forward = cloud.createPortForwardingRule(
        ipaddressid=address["id"], protocol="tcp", publicport=8080, privateport=80, virtualmachineid=scene["guest"]["id"],
        fetch_result=True,
    )["portforwardingrule"]
    lab.reached("internet", address["ipaddress"], 8080, "here")
    changed = cloud.updatePortForwardingRule(id=forward["id"], privateport=81, fetch_result=True)["portforwardingrule"]
    assert (changed["id"], changed["privateport"]) == (forward["id"], "81")
    lab.reached("internet", address["ipaddress"], 8080, "there")
    opened = only(cloud.listFirewallRules(ipaddressid=address["id"]), "firewallrule")
    tagged = cloud.updateFirewallRule(id=opened["id"], customid="22222222-2222-4222-8222-222222222222", fordisplay=True, fetch_result=True)
    assert tagged["firewallrule"]["protocol"] == "tcp"
    egress = cloud.createEgressFirewallRule(networkid=scene["one"], protocol="udp", startport=9, endport=9, fetch_result=True)
    egress = cloud.updateEgressFirewallRule(id=egress["firewallrule"]["id"], fordisplay=True, fetch_result=True)["firewallrule"]
    assert egress["protocol"] == "udp"


def test_tags(cloud, scene):
    tags = [{"key": "env", "value": "prod"}, {"key": "team", "value": "net"}]
    done = cloud.createTags(resourceids=[scene["one"], scene["two"]], resourcetype="Network", tags=tags, fetch_result=True)
    assert done == {"success": True}
    found = cloud.listTags(resourceid=scene["one"], resourcetype="Network")["tag"]
    assert {(tag["key"], tag["value"]) for tag in found} == {("env", "prod"), ("team", "net")}
    assert {tag["resourceid"] for tag in found} == {scene["one"]} and {tag["resourcetype"] for tag in found} == {"Network"}
    listed = cloud.listNetworks(tags=[{"key": "env", "value": "prod"}])["network"]
    assert {network["id"] for network in listed} == {scene["one"], scene["two"]}
    assert {tag["key"] for tag in listed[0]["tags"]} == {"env", "team"}
    cloud.deleteTags(resourceids=scene["two"], resourcetype="Network", tags=[{"key": "env"}], fetch_result=True)
    assert only(cloud.listNetworks(tags=[{"key": "env", "value": "prod"}]), "network")["id"] == scene["one"]


def test_it_all_goes(lab, cloud, scene):
    cloud.destroyVirtualMachine(id=scene["guest"]["id"], expunge=True, fetch_result=True)
    for name in ("one", "two"):
        assert cloud.deleteNetwork(id=scene[name], fetch_result=True) == {"success": True}
    assert cloud.listTags() == {}, "tags go with what they were on"
    lab.is_empty()
