# SPDX-License-Identifier: Apache-2.0
"""cs drives VPCs: tiers, network ACLs, static routes, private gateways; packets prove what they let through."""

import pytest

from lab import eventually, only, refused

TIER = "DefaultIsolatedNetworkOfferingForVpcNetworks"


@pytest.fixture(scope="module")
def cloud(lab):
    """As root's admin, by POST."""
    return lab.cloud("post")


@pytest.fixture(scope="module")
def vpc(lab, cloud):
    """A VPC, made and named at once."""
    offering = next(o for o in cloud.listVPCOfferings(state="Enabled")["vpcoffering"] if o["isdefault"])
    assert offering["name"] == "Default VPC offering" and offering["displaytext"]
    assert only(cloud.listVPCOfferings(name=offering["name"]), "vpcoffering")["id"] == offering["id"]
    reply = cloud.createVPC(
        name="v", displaytext="A VPC", vpcofferingid=offering["id"], zoneid=lab.provided()["zoneid"], cidr="10.40.0.0/16",
        networkdomain="v.example",
    )
    assert set(reply) == {"jobid", "id"}
    found = eventually("the VPC is enabled", lambda: cloud.listVPCs(id=reply["id"], state="Enabled"))
    found = only(found, "vpc")
    assert (found["cidr"], found["vpcofferingid"], found["networkdomain"]) == ("10.40.0.0/16", offering["id"], "v.example")
    assert found["zonename"] and found["restartrequired"] is False and found["network"] == [] and found["tags"] == []
    return found


@pytest.fixture(scope="module")
def tiers(lab, cloud, vpc):
    """Two tiers, each with a guest of the same name."""
    made = {}
    for name, gateway in (("front", "10.40.1.1"), ("back", "10.40.2.1")):
        tier = lab.network(name, TIER, vpcid=vpc["id"], gateway=gateway, netmask="255.255.255.0")
        assert tier["vpcid"] == vpc["id"] and tier["vpcname"] == "v" and tier["cidr"] == gateway[:-1] + "0/24"
        guest = lab.guest(name, tier["id"])
        assert guest["nic"][0]["ipaddress"].startswith(gateway[:-1])
        for port in (80, 81):
            lab.serve(name, port, f"{name} {port}")
        made[name] = {"network": tier["id"], "guest": guest["id"], "address": guest["nic"][0]["ipaddress"]}
    assert {network["id"] for network in only(cloud.listVPCs(id=vpc["id"]), "vpc")["network"]} == {
        tier["network"] for tier in made.values()
    }
    return made


@pytest.fixture(scope="module")
def acl(cloud, vpc, tiers):
    """An ACL list of our own on both tiers."""
    reply = cloud.createNetworkACLList(name="own", description="Of cs", vpcid=vpc["id"])
    assert set(reply) == {"jobid", "id"}
    found = only(eventually("the list", lambda: cloud.listNetworkACLLists(id=reply["id"])), "networkacllist")
    assert (found["name"], found["description"], found["vpcid"]) == ("own", "Of cs", vpc["id"])
    for tier in tiers.values():
        done = cloud.replaceNetworkACLList(aclid=found["id"], networkid=tier["network"], fetch_result=True)
        assert done["success"] is True
        assert only(cloud.listNetworks(id=tier["network"]), "network")["aclid"] == found["id"]
    return found["id"]


def rule(cloud, acl, **params):
    """A rule of the list."""
    return cloud.createNetworkACL(aclid=acl, **params, fetch_result=True)["networkacl"]


def test_one_address_for_all_tiers(lab, cloud, vpc, tiers):
    source_nat = only(cloud.listPublicIpAddresses(vpcid=vpc["id"], issourcenat=True), "publicipaddress")
    assert source_nat["vpcid"] == vpc["id"] and source_nat["state"] == "Allocated"
    defaults = {acl["name"] for acl in cloud.listNetworkACLLists()["networkacllist"]}
    assert defaults >= {"default_allow", "default_deny"}
    router = only(cloud.listRouters(vpcid=vpc["id"], listall=True), "router")
    assert router["vpcid"] == vpc["id"] and router["publicip"] == source_nat["ipaddress"] and router["state"] == "Running"
    allow = next(a["id"] for a in cloud.listNetworkACLLists()["networkacllist"] if a["name"] == "default_allow")
    cloud.replaceNetworkACLList(aclid=allow, networkid=tiers["front"]["network"], fetch_result=True)
    lab.leaves_as("front", source_nat["ipaddress"])
    # One address less, another instead.
    reply = cloud.associateIpAddress(vpcid=vpc["id"], fetch_result=True)["ipaddress"]
    cloud.updateVPC(id=vpc["id"], displaytext="Elsewhere", sourcenatipaddress=reply["ipaddress"], fetch_result=True)
    assert only(cloud.listVPCs(id=vpc["id"]), "vpc")["displaytext"] == "Elsewhere"
    lab.leaves_as("front", reply["ipaddress"])
    refused(431, "source NAT", cloud.disassociateIpAddress, id=reply["id"])
    assert cloud.disassociateIpAddress(id=source_nat["id"], fetch_result=True) == {"success": True}


def test_between_the_tiers_by_acl_only(lab, cloud, acl, tiers):
    back = tiers["back"]["address"]
    assert cloud.listNetworkACLs(aclid=acl) == {}
    assert lab.fetch("front", back) is None and not lab.pings("front", back), "an empty list denies what comes in"
    web = rule(cloud, acl, protocol="tcp", startport=80, endport=80, cidrlist=["10.40.1.0/24"], traffictype="Ingress",
               action="Allow", number=20)
    assert (web["startport"], web["endport"], web["number"], web["action"]) == ("80", "80", 20, "Allow")
    assert web["traffictype"] == "Ingress" and web["cidrlist"] == "10.40.1.0/24" and web["protocol"] == "tcp"
    out = rule(cloud, acl, protocol="all", cidrlist=["0.0.0.0/0"], traffictype="Egress", action="allow", number=30)
    assert out["action"] == "Allow"
    lab.reached("front", back, 80, "back 80")
    assert lab.fetch("front", back, 81) is None
    # A lower number wins.
    deny = rule(cloud, acl, protocol="tcp", startport=1, endport=65535, cidrlist="10.40.0.0/16", traffictype="Ingress",
                action="Deny", number=10)
    assert lab.fetch("front", back) is None
    refused(431, "10", cloud.createNetworkACL, aclid=acl, protocol="all", number=10, cidrlist="0.0.0.0/0")
    changed = cloud.updateNetworkACLItem(id=deny["id"], number=40, fetch_result=True)["networkacl"]
    assert changed["number"] == 40
    lab.reached("front", back, 80, "back 80")
    changed = cloud.updateNetworkACLItem(id=web["id"], startport=80, endport=81, fetch_result=True)["networkacl"]
    assert (changed["startport"], changed["endport"]) == ("80", "81")
    lab.reached("front", back, 81, "back 81")
    ping = rule(cloud, acl, protocol="icmp", icmptype=8, icmpcode=0, cidrlist="10.40.1.0/24", traffictype="Ingress",
                action="Allow", number=5)
    assert (ping["icmptype"], ping["icmpcode"]) == (8, 0)
    assert lab.pings("front", back)
    listed = cloud.listNetworkACLs(aclid=acl)
    assert sorted(item["number"] for item in listed["networkacl"]) == [5, 20, 30, 40] and listed["count"] == 4
    assert only(cloud.listNetworkACLs(aclid=acl, traffictype="Egress"), "networkacl")["id"] == out["id"]
    for item in (ping, deny):
        assert cloud.deleteNetworkACL(id=item["id"], fetch_result=True) == {"success": True}
    assert not lab.pings("front", back)


def test_forwards_and_static_nat_of_a_tier(lab, cloud, vpc, acl, tiers):
    rule(cloud, acl, protocol="tcp", startport=81, endport=81, cidrlist="198.51.100.0/24", traffictype="Ingress",
         action="Allow", number=50)
    address = cloud.associateIpAddress(vpcid=vpc["id"], fetch_result=True)["ipaddress"]
    assert address["vpcid"] == vpc["id"] and address["issourcenat"] is False
    forward = cloud.createPortForwardingRule(
        ipaddressid=address["id"], protocol="tcp", publicport=8080, privateport=81,
        virtualmachineid=tiers["back"]["guest"], networkid=tiers["back"]["network"], fetch_result=True,
    )["portforwardingrule"]
    assert forward["networkid"] == tiers["back"]["network"]
    lab.reached("internet", address["ipaddress"], 8080, "back 81")
    cloud.deletePortForwardingRule(id=forward["id"], fetch_result=True)
    assert lab.fetch("internet", address["ipaddress"], 8080) is None
    assert cloud.enableStaticNat(
        ipaddressid=address["id"], virtualmachineid=tiers["front"]["guest"], networkid=tiers["front"]["network"]
    )["success"] is True
    lab.reached("internet", address["ipaddress"], 81, "front 81")
    assert lab.fetch("internet", address["ipaddress"], 80) is None, "the ACL does not let it in"
    lab.leaves_as("front", address["ipaddress"])
    assert cloud.disableStaticNat(ipaddressid=address["id"], fetch_result=True) == {"success": True}
    assert cloud.disassociateIpAddress(id=address["id"], fetch_result=True) == {"success": True}


def test_private_gateways_and_static_routes(cloud, vpc):
    reply = cloud.createPrivateGateway(
        gateway="172.16.9.1", ipaddress="172.16.9.2", netmask="255.255.255.0", vlan="vlan://909", vpcid=vpc["id"]
    )
    assert set(reply) == {"jobid", "id"}
    gateway = eventually("the gateway", lambda: cloud.listPrivateGateways(vpcid=vpc["id"], state="Ready") or None)
    gateway = only(gateway, "privategateway")
    assert gateway["id"] == reply["id"] and gateway["ipaddress"] == "172.16.9.2" and gateway["gateway"] == "172.16.9.1"
    route = cloud.createStaticRoute(gatewayid=gateway["id"], cidr="192.168.77.0/24", fetch_result=True)["staticroute"]
    assert route["cidr"] == "192.168.77.0/24" and route["vpcid"] == vpc["id"]
    assert only(cloud.listStaticRoutes(vpcid=vpc["id"]), "staticroute")["id"] == route["id"]
    assert cloud.deleteStaticRoute(id=route["id"], fetch_result=True) == {"success": True}
    assert cloud.deletePrivateGateway(id=gateway["id"], fetch_result=True) == {"success": True}
    assert cloud.listPrivateGateways(vpcid=vpc["id"]) == {} and cloud.listStaticRoutes(vpcid=vpc["id"]) == {}


def test_a_restart_keeps_everything(lab, cloud, vpc, tiers):
    before = only(cloud.listRouters(vpcid=vpc["id"], listall=True), "router")
    assert cloud.restartVPC(id=vpc["id"], cleanup=True, fetch_result=True)["success"] is True
    after = only(cloud.listRouters(vpcid=vpc["id"], listall=True), "router")
    assert after["state"] == "Running" and after["publicip"] == before["publicip"]
    lab.reached("front", tiers["back"]["address"], 80, "back 80")
    lab.leaves_as("front", after["publicip"])


def test_what_is_used_is_not_deleted_and_it_all_goes(lab, cloud, vpc, tiers, acl):
    refused(536, "", cloud.deleteNetworkACLList, id=acl, fetch_result=True)
    refused(536, "", cloud.deleteVPC, id=vpc["id"], fetch_result=True)
    for tier in tiers.values():
        cloud.destroyVirtualMachine(id=tier["guest"], expunge=True, fetch_result=True)
        assert cloud.deleteNetwork(id=tier["network"], fetch_result=True) == {"success": True}
    assert cloud.deleteNetworkACLList(id=acl, fetch_result=True) == {"success": True}
    assert cloud.deleteVPC(id=vpc["id"], fetch_result=True) == {"success": True}
    refused(431, "Invalid parameter id value=", cloud.listVPCs, id=vpc["id"])
    lab.is_empty()
