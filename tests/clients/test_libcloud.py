# SPDX-License-Identifier: Apache-2.0
"""apache-libcloud's driver builds an isolated network and a VPC with two tiers; packets prove each step.

Not used, because they fail against a CloudStack as well: ex_list_vpcs (reads domain ids as numbers), and
ex_list_egress_firewall_rules on an empty list.
"""

from urllib.parse import urlparse

import pytest
from libcloud.compute.providers import get_driver
from libcloud.compute.types import NodeState, Provider

from lab import INTERNET, eventually

SOURCE_NAT = "DefaultIsolatedNetworkOfferingWithSourceNatService"
TIER = "DefaultIsolatedNetworkOfferingForVpcNetworks"


@pytest.fixture(scope="module")
def driver(lab):
    """The driver, as an operator would get it."""
    server = urlparse(lab.credentials["endpoint"])
    return get_driver(Provider.CLOUDSTACK)(
        key=lab.credentials["key"], secret=lab.credentials["secret"], secure=server.scheme == "https",
        host=server.hostname, port=server.port, path=server.path,
    )


def offering(driver, name):
    """The network offering of this name."""
    return next(o for o in driver.ex_list_network_offerings() if o.name == name)


def node(driver, name, networks):
    """A running node."""
    made = driver.create_node(
        name=name, size=driver.list_sizes()[0], image=driver.list_images()[0], location=driver.list_locations()[0],
        networks=networks, ex_start_vm=True,
    )
    assert made.state == NodeState.RUNNING and made.name == name and len(made.private_ips) == 1
    return made


def test_an_isolated_network(lab, driver):
    location = driver.list_locations()[0]
    network = driver.ex_create_network(
        display_text="Of libcloud ~[x]*", name="lc", network_offering=offering(driver, SOURCE_NAT), location=location,
        gateway="10.9.0.1", netmask="255.255.255.0", network_domain="lc.example",
    )
    assert network.name == "lc" and [n.id for n in driver.ex_list_networks()] == [network.id]
    one, two = node(driver, "lc1", [network]), node(driver, "lc2", [network])
    assert {n.id for n in driver.list_nodes()} == {one.id, two.id}
    assert driver.ex_get_node(one.id).private_ips == one.private_ips
    nic = driver.ex_list_nics(one)[0]
    assert nic.ip_address == one.private_ips[0] and nic.network_id == network.id
    source_nat = driver.ex_list_public_ips()[0].address

    # Egress.
    assert not lab.pings("lc1", INTERNET)
    ping = driver.ex_create_egress_firewall_rule(network.id, "10.9.0.0/24", "icmp", icmp_type=-1, icmp_code=-1)
    web = driver.ex_create_egress_firewall_rule(network.id, "0.0.0.0/0", "tcp", start_port=80, end_port=80)
    assert {rule.id for rule in driver.ex_list_egress_firewall_rules()} == {ping.id, web.id}
    assert lab.pings("lc1", INTERNET)
    lab.leaves_as("lc1", source_nat)
    assert driver.ex_delete_egress_firewall_rule(ping)
    assert not lab.pings("lc1", INTERNET)

    # A port forward, and the firewall in front of it.
    lab.serve("lc1", 8000, "one")
    address = driver.ex_allocate_public_ip(network_id=network.id, location=location)
    forward = driver.ex_create_port_forwarding_rule(one, address, 8000, 80, "tcp", openfirewall=False, network_id=network.id)
    assert [rule.id for rule in driver.ex_list_port_forwarding_rules()] == [forward.id]
    assert lab.fetch("internet", address.address) is None, "the firewall is closed"
    opened = driver.ex_create_firewall_rule(address, "198.51.100.0/24", "tcp", start_port=80, end_port=80)
    assert [rule.id for rule in driver.ex_list_firewall_rules()] == [opened.id]
    lab.reached("internet", address.address, 80, "one")
    assert driver.ex_delete_port_forwarding_rule(one, forward) and driver.ex_delete_firewall_rule(opened)
    assert lab.fetch("internet", address.address) is None

    # Static NAT (which libcloud cannot enable) and its IP forwarding rule.
    lab.serve("lc2", 2000, "two")
    assert lab.cloud().enableStaticNat(ipaddressid=address.id, virtualmachineid=two.id)["success"]
    ranged = driver.ex_create_ip_forwarding_rule(two, address, "tcp", 2000, 2010)
    assert [rule.id for rule in driver.ex_list_ip_forwarding_rules()] == [ranged.id]
    lab.reached("internet", address.address, 2000, "two")
    assert driver.ex_delete_ip_forwarding_rule(two, ranged)
    lab.cloud().disableStaticNat(ipaddressid=address.id, fetch_result=True)

    # Another NIC, tags, stop and start.
    other = driver.ex_create_network("Another", "lc-other", offering(driver, SOURCE_NAT), location)
    assert driver.ex_attach_nic_to_node(two, other)
    added = next(n for n in driver.ex_list_nics(two) if n.network_id == other.id)
    assert driver.ex_detach_nic_from_node(added, two)
    assert driver.ex_create_tags([one.id], "UserVm", {"env": "test"})
    assert driver.ex_get_node(one.id).extra["tags"] == {"env": "test"}
    assert driver.ex_delete_tags([one.id], "UserVm", ["env"])
    assert driver.ex_stop(two) == "Stopped" and driver.ex_start(two) == "Running", "CloudStack's words"
    assert driver.reboot_node(two)
    routers = driver.ex_list_routers()
    assert source_nat in {router.public_ip for router in routers} and {router.vpc_id for router in routers} == {None}

    assert driver.ex_release_public_ip(address)
    for guest in (one, two):
        assert driver.destroy_node(guest, ex_expunge=True)
    for made in (network, other):
        assert driver.ex_delete_network(made)
    assert driver.ex_list_networks() == [] and driver.ex_list_public_ips() == []
    lab.is_empty()


def test_a_vpc_with_two_tiers(lab, driver):
    location = driver.list_locations()[0]
    kind = next(o for o in driver.ex_list_vpc_offerings() if o.name == "Default VPC offering")
    vpc = driver.ex_create_vpc("10.30.0.0/16", "Of libcloud", "lcv", kind, location.id, network_domain="lcv.example")
    open_list = driver.ex_create_network_acllist("open", vpc.id, "HTTP and what is asked from inside")
    driver.ex_create_network_acl("tcp", open_list.id, "0.0.0.0/0", 80, 80, "Allow", "Ingress")
    # It cannot leave ports out: it sends the word None, which a CloudStack refuses as well.
    driver.ex_create_network_acl("tcp", open_list.id, "0.0.0.0/0", 1, 65535, "Allow", "Egress")
    assert "open" in {acl.name for acl in driver.ex_list_network_acllists()}
    assert {acl.traffic_type for acl in driver.ex_list_network_acl() if acl.acl_id == open_list.id} == {"Ingress", "Egress"}
    tiers = [
        driver.ex_create_network(
            display_text=name, name=name, network_offering=offering(driver, TIER), location=location, gateway=gateway,
            netmask="255.255.255.0", vpc_id=vpc.id,
        )
        for name, gateway in (("front", "10.30.1.1"), ("back", "10.30.2.1"))
    ]
    for tier in tiers:
        assert driver.ex_replace_network_acllist(open_list.id, tier.id)
    front, back = node(driver, "lcv1", tiers[:1]), node(driver, "lcv2", tiers[1:])
    for guest in ("lcv1", "lcv2"):
        lab.serve(guest, 80, guest)
        lab.serve(guest, 81, "closed")
    # Between the tiers, by ACL only.
    lab.reached("lcv1", back.private_ips[0], 80, "lcv2")
    lab.reached("lcv2", front.private_ips[0], 80, "lcv1")
    assert lab.fetch("lcv1", back.private_ips[0], 81) is None
    # To the outside through one address.
    source_nat = eventually(
        "the VPC's source NAT address",
        lambda: [ip.address for ip in driver.ex_list_public_ips() if ip.vpc_id == vpc.id],
    )[0]
    lab.leaves_as("lcv1", source_nat)
    lab.leaves_as("lcv2", source_nat)
    # From outside.
    address = driver.ex_allocate_public_ip(vpc_id=vpc.id, location=location)
    forward = driver.ex_create_port_forwarding_rule(
        back, address, 80, 8080, "tcp", openfirewall=False, network_id=tiers[1].id
    )
    lab.reached("internet", address.address, 8080, "lcv2")
    assert driver.ex_list_routers(vpc_id=vpc.id)[0].vpc_id == vpc.id

    assert driver.ex_delete_port_forwarding_rule(back, forward)
    assert lab.fetch("internet", address.address, 8080) is None
    assert driver.ex_release_public_ip(address)
    for guest in (front, back):
        assert driver.destroy_node(guest, ex_expunge=True)
    for tier in tiers:
        assert driver.ex_delete_network(tier)
    assert driver.ex_delete_vpc(vpc)
    lab.is_empty()
