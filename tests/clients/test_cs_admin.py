# SPDX-License-Identifier: Apache-2.0
"""cs reads what an administrator's tools read, and listApis is what CloudMonkey's sync wants."""

import re

import pytest
from cs import CloudStackApiException

from lab import only


@pytest.fixture(scope="module")
def cloud(lab):
    """As root's admin."""
    return lab.cloud()


def test_cloudmonkey_can_sync(cloud):
    reply = cloud.listApis()
    names = set()
    for api in reply["api"]:
        names.add(api["name"])
        assert api["description"] and isinstance(api["isasync"], bool) and isinstance(api["related"], str), api["name"]
        for param in api["params"]:
            assert param["name"] == param["name"].lower() and param["description"], (api["name"], param)
            assert isinstance(param["required"], bool) and isinstance(param["length"], int), (api["name"], param)
            assert param["type"] in {
                "boolean", "date", "float", "integer", "list", "long", "map", "object", "short", "string", "tzdate", "uuid",
            }, (api["name"], param)
        assert isinstance(api["response"], list), api["name"]
        for field in api["response"]:
            assert field["name"] and field["type"], (api["name"], field)
    assert reply["count"] == len(names) == len(reply["api"])
    # What completion asks for: each id of a command has a list whose answers it can offer.
    listed = {re.sub("s$|ies$", "", name.removeprefix("list").lower()) for name in names if name.startswith("list")}
    assert {"network", "zone", "virtualmachine", "publicipaddresse"} <= listed
    assert only(cloud.listApis(name="createNetwork"), "api")["name"] == "createNetwork"


@pytest.mark.parametrize(
    ("command", "key", "params"),
    [
        ("listZones", "zone", {}), ("listPods", "pod", {}), ("listClusters", "cluster", {}), ("listHosts", "host", {}),
        ("listPhysicalNetworks", "physicalnetwork", {}), ("listVlanIpRanges", "vlaniprange", {}),
        ("listNetworkServiceProviders", "networkserviceprovider", {}), ("listConfigurations", "configuration", {}),
        ("listCapacity", "capacity", {}), ("listRoles", "role", {}),
        ("listHypervisors", "hypervisor", {}), ("listVPCOfferings", "vpcoffering", {}),
        ("listNetworkOfferings", "networkoffering", {}), ("listServiceOfferings", "serviceoffering", {}),
        ("listTemplates", "template", {"templatefilter": "executable"}), ("listAlertTypes", "alerttype", {}),
        ("listResourceLimits", "resourcelimit", {}), ("listVirtualRouterElements", "virtualrouterelement", {}),
        ("listEventTypes", "eventtype", {}),
    ],
)
def test_an_empty_cloud_still_lists_what_it_is_made_of(cloud, command, key, params):
    reply = getattr(cloud, command)(**params)
    assert set(reply) == {"count", key}, reply
    assert reply["count"] >= len(reply[key]) >= 1


@pytest.mark.parametrize(
    "command",
    [
        "listNetworks", "listVirtualMachines", "listPublicIpAddresses", "listVPCs", "listRouters", "listFirewallRules",
        "listPortForwardingRules", "listEgressFirewallRules", "listIpForwardingRules", "listLoadBalancerRules",
        "listTags", "listProjects", "listPrivateGateways", "listStaticRoutes", "listVolumes", "listIsos",
        "listSSHKeyPairs", "listSecurityGroups", "listAffinityGroups", "listDiskOfferings", "listOsTypes", "listAlerts",
        # Routers are the only VMs of the system here, and listRouters shows them.
        "listSystemVms",
    ],
)
def test_what_nobody_made_is_an_empty_object(cloud, command):
    reply = getattr(cloud, command)()
    assert reply == {} or (command in {"listNetworkACLs", "listDiskOfferings", "listOsTypes", "listSecurityGroups"} and reply["count"]), reply


def test_offerings_and_addresses_for_networks(lab, cloud):
    made = cloud.createNetworkOffering(
        name="cs-offering", displaytext="Of cs", guestiptype="Isolated", traffictype="GUEST",
        supportedservices=["Dhcp", "Dns", "SourceNat", "Firewall", "PortForwarding"],
        serviceproviderlist=[{"service": name, "provider": "VirtualRouter"} for name in ("Dhcp", "Dns", "SourceNat", "Firewall", "PortForwarding")],
        egressdefaultpolicy=True,
    )["networkoffering"]
    assert made["state"] == "Disabled" and made["egressdefaultpolicy"] is True
    cloud.updateNetworkOffering(id=made["id"], state="Enabled")
    network = lab.network("of-cs", "cs-offering")
    assert network["networkofferingname"] == "cs-offering"
    cloud.deleteNetwork(id=network["id"], fetch_result=True)
    assert cloud.deleteNetworkOffering(id=made["id"])["success"] is True
    before = cloud.listVlanIpRanges()["vlaniprange"][0]
    assert before["startip"] and before["endip"] and before["gateway"] and before["vlan"].startswith("vlan://")
    lab.is_empty()


def test_an_administrator_adds_and_keeps_public_addresses(lab, cloud):
    zone = only(cloud.listZones(), "zone")
    made = cloud.createVlanIpRange(
        zoneid=zone["id"], gateway="192.0.2.1", netmask="255.255.255.0", startip="192.0.2.10", endip="192.0.2.11",
    )["vlan"]
    total = only(cloud.listCapacity(type=4), "capacity")["capacitytotal"]
    domain = only(cloud.listDomains(), "domain")["id"]
    assert cloud.dedicatePublicIpRange(id=made["id"], domainid=domain, account="admin")["vlan"]["account"] == "admin"
    address = cloud.associateIpAddress(zoneid=zone["id"], fetch_result=True)["ipaddress"]
    assert address["ipaddress"] in {"192.0.2.10", "192.0.2.11"}
    with pytest.raises(CloudStackApiException, match=address["ipaddress"]):
        cloud.deleteVlanIpRange(id=made["id"])
    cloud.disassociateIpAddress(id=address["id"], fetch_result=True)
    cloud.releasePublicIpRange(id=made["id"])
    cloud.deleteVlanIpRange(id=made["id"])
    assert only(cloud.listCapacity(type=4), "capacity")["capacitytotal"] == total - 2
    lab.is_empty()


def test_settings_are_changed_and_reset(cloud):
    name = "network.gc.wait"
    assert cloud.updateConfiguration(name=name, value="900")["configuration"]["value"] == "900"
    assert only(cloud.listConfigurations(name=name), "configuration")["value"] == "900"
    assert cloud.resetConfiguration(name=name)["configuration"]["value"] == "600"
