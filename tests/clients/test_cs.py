# SPDX-License-Identifier: Apache-2.0
"""The Python client cs drives every command: a network's whole life, then what must be refused.

What the scenario makes is named after the client's method, so it also runs beside others in a cloud that is not empty;
at the end nothing of it is left.
"""

import re
import time
import uuid

import pytest
from cs import CloudStack, CloudStackApiException, CloudStackException

from lab import eventually, only

DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+0000")
OFFERING = "DefaultIsolatedNetworkOfferingWithSourceNatService"


def names(cloud, command, **params):
    """The names of everything that a list holds."""
    return {item["name"] for item in getattr(cloud, command)(fetch_list=True, **params)}


def refused(code, text, call, **params):
    """Asserts that a call is refused with this code, and says this."""
    with pytest.raises(CloudStackApiException) as caught:
        call(**params)
    error = caught.value.error
    assert error["errorcode"] == code and error["uuidList"] == [], error
    assert caught.value.response.status_code == code
    assert text in error["errortext"], error


@pytest.fixture(scope="module")
def provided(cloud):
    """What the operator provides."""
    zone = cloud.listZones()["zone"][0]
    assert zone["networktype"] == "Advanced" and zone["tags"] == [] and zone["guestcidraddress"]
    offering = only(cloud.listNetworkOfferings(name=OFFERING, state="Enabled"), "networkoffering")
    assert offering["guestiptype"] == "Isolated" and offering["forvpc"] is False and offering["serviceofferingid"]
    assert offering["egressdefaultpolicy"] is False
    size = cloud.listServiceOfferings(zoneid=zone["id"])["serviceoffering"][0]
    assert isinstance(size["cpunumber"], int) and isinstance(size["memory"], int) and size["issystem"] is False
    template = cloud.listTemplates(templatefilter="executable", zoneid=zone["id"])["template"][0]
    assert template["isready"] is True and "size" in template and template["format"]
    host = cloud.listHosts(type="Routing", zoneid=zone["id"])["host"][0]
    assert host["state"] == "Up"
    return {"zone": zone["id"], "offering": offering["id"], "size": size["id"], "template": template["id"]}


@pytest.fixture(scope="module")
def network(cloud, provided):
    """A network, removed at the end with all that is left on it."""
    made = cloud.createNetwork(
        name=f"cs-{cloud.method}", displaytext="A network of cs ~ [x] *", networkofferingid=provided["offering"],
        zoneid=provided["zone"],
    )["network"]
    assert made["displaytext"] == "A network of cs ~ [x] *"
    assert made["state"] == "Allocated" and made["type"] == "Isolated" and made["traffictype"] == "Guest"
    assert "vpcid" not in made and made["tags"] == [] and DATE.fullmatch(made["created"])
    assert {service["name"] for service in made["service"]} >= {"SourceNat", "StaticNat", "PortForwarding", "Firewall"}
    yield made["id"]
    if cloud.listNetworks(keyword=made["name"]):
        cloud.deleteNetwork(id=made["id"], forced=True, fetch_result=True)


@pytest.fixture(scope="module")
def guests(cloud, provided, network):
    """Two guests."""
    made = []
    for number in (1, 2):
        reply = cloud.deployVirtualMachine(
            zoneid=provided["zone"], serviceofferingid=provided["size"], templateid=provided["template"],
            networkids=[network], name=f"cs-{cloud.method}-{number}", displayname=f"Guest {number}",
        )
        assert set(reply) == {"jobid", "id"}
        job = wait(cloud, reply["jobid"])
        guest = job["jobresult"]["virtualmachine"]
        assert guest["id"] == reply["id"] and guest["state"] == "Running" and guest["displayname"] == f"Guest {number}"
        assert job["jobinstancetype"] == "VirtualMachine" and job["jobinstanceid"] == reply["id"]
        made.append(guest)
    return made


def wait(cloud, jobid):
    """A job that ends well."""
    state = {}

    def ended():
        state.update(cloud.queryAsyncJobResult(jobid=jobid))
        return state["jobstatus"] != 0

    eventually(f"job {jobid}", ended)
    assert state["jobstatus"] == 1 and state["jobresultcode"] == 0 and state["jobresulttype"] == "object", state
    assert len(state["jobresult"]) == 1 and DATE.fullmatch(state["completed"])
    return state


def test_the_server_says_what_it_is(cloud, server):
    capability = cloud.listCapabilities()["capability"]
    assert re.fullmatch(r"4\.\d+\.\d+\.\d+", capability["cloudstackversion"])
    apis = {api["name"]: api for api in cloud.listApis()["api"]}
    assert apis["createNetwork"]["isasync"] is False and apis["deployVirtualMachine"]["isasync"] is True
    required = {param["name"] for param in apis["createNetwork"]["params"] if param["required"]}
    assert required == {"name", "networkofferingid", "zoneid"}
    user = cloud.getUser(userapikey=server["key"])["user"]
    assert user["account"] and user["domain"] and "secretkey" not in user


def test_a_guest_implements_its_network(cloud, network, guests):
    found = only(cloud.listNetworks(id=network), "network")
    assert found["state"] == "Implemented" and found["restartrequired"] is False
    nic = guests[0]["nic"][0]
    assert nic["networkid"] == network and nic["isdefault"] is True and nic["secondaryip"] == []
    assert nic["gateway"] == found["gateway"] and nic["netmask"] == found["netmask"]
    assert only(cloud.listNics(virtualmachineid=guests[0]["id"]), "nic")["macaddress"] == nic["macaddress"]
    assert {g["name"] for g in guests} == names(cloud, "listVirtualMachines", networkid=network)
    assert only(cloud.listVirtualMachines(keyword=guests[1]["name"]), "virtualmachine")["id"] == guests[1]["id"]
    source_nat = only(cloud.listPublicIpAddresses(associatednetworkid=network, issourcenat=True), "publicipaddress")
    assert source_nat["state"] == "Allocated" and source_nat["isstaticnat"] is False
    assert "virtualmachineid" not in source_nat and DATE.fullmatch(source_nat["allocated"])


def test_egress_rules(cloud, network, guests):
    web = cloud.createEgressFirewallRule(
        networkid=network, protocol="tcp", startport=80, endport=90, destcidrlist=["198.51.100.0/24", "192.0.2.0/24"],
        fetch_result=True,
    )["firewallrule"]
    assert (web["startport"], web["endport"], web["protocol"]) == (80, 90, "tcp")
    assert web["destcidrlist"] == "198.51.100.0/24,192.0.2.0/24" and web["traffictype"] == "Egress"
    ping = cloud.createEgressFirewallRule(
        networkid=network, protocol="icmp", icmptype=-1, icmpcode=-1, fetch_result=True
    )["firewallrule"]
    assert (ping["icmptype"], ping["icmpcode"]) == (-1, -1) and "startport" not in ping
    listed = cloud.listEgressFirewallRules(networkid=network, listall=True)
    assert {rule["id"] for rule in listed["firewallrule"]} == {web["id"], ping["id"]}
    assert cloud.deleteEgressFirewallRule(id=web["id"], fetch_result=True) == {"success": True}
    assert only(cloud.listEgressFirewallRules(networkid=network), "firewallrule")["id"] == ping["id"]
    cloud.deleteEgressFirewallRule(id=ping["id"], fetch_result=True)
    assert cloud.listEgressFirewallRules(networkid=network) == {}


@pytest.fixture(scope="module")
def address(cloud, network, guests):
    """A further public address of the network."""
    reply = cloud.associateIpAddress(networkid=network)
    made = wait(cloud, reply["jobid"])["jobresult"]["ipaddress"]
    assert made["id"] == reply["id"] and made["issourcenat"] is False and made["associatednetworkid"] == network
    assert only(cloud.listPublicIpAddresses(ipaddress=made["ipaddress"]), "publicipaddress")["id"] == made["id"]
    return made


def test_firewall_and_port_forwarding_rules(cloud, network, guests, address):
    opened = cloud.createFirewallRule(
        ipaddressid=address["id"], protocol="udp", startport=53, endport=53, cidrlist="192.0.2.0/24", fetch_result=True
    )["firewallrule"]
    assert opened["ipaddress"] == address["ipaddress"] and opened["cidrlist"] == "192.0.2.0/24"
    forward = cloud.createPortForwardingRule(
        ipaddressid=address["id"], protocol="tcp", publicport=8080, publicendport=8081, privateport=80,
        privateendport=81, virtualmachineid=guests[0]["id"], fetch_result=True,
    )["portforwardingrule"]
    ports = [forward[name] for name in ("publicport", "publicendport", "privateport", "privateendport")]
    assert ports == ["8080", "8081", "80", "81"], "strings, as CloudStack writes them"
    assert forward["vmguestip"] == guests[0]["nic"][0]["ipaddress"]
    assert forward["virtualmachineid"] == guests[0]["id"] and forward["state"] == "Active"
    listed = only(cloud.listPortForwardingRules(networkid=network), "portforwardingrule")
    assert listed["id"] == forward["id"]
    assert cloud.listFirewallRules(ipaddressid=address["id"])["count"] == 2, "one was opened for the forward"
    refused(
        537, forward["id"], cloud.createPortForwardingRule, ipaddressid=address["id"], protocol="tcp",
        publicport=8081, privateport=22, virtualmachineid=guests[1]["id"],
    )
    refused(537, forward["id"], cloud.enableStaticNat, ipaddressid=address["id"], virtualmachineid=guests[1]["id"])
    assert cloud.deletePortForwardingRule(id=forward["id"], fetch_result=True) == {"success": True}
    assert cloud.listPortForwardingRules(ipaddressid=address["id"]) == {}
    assert cloud.deleteFirewallRule(id=opened["id"], fetch_result=True) == {"success": True}
    assert cloud.listFirewallRules(networkid=network) == {}
    assert cloud.listIpForwardingRules() == {}


def test_static_nat(cloud, guests, address):
    assert cloud.enableStaticNat(ipaddressid=address["id"], virtualmachineid=guests[1]["id"])["success"] is True
    found = only(cloud.listPublicIpAddresses(id=address["id"], isstaticnat=True), "publicipaddress")
    assert found["virtualmachineid"] == guests[1]["id"] and found["virtualmachinename"] == guests[1]["name"]
    assert found["vmipaddress"] == guests[1]["nic"][0]["ipaddress"]
    assert cloud.disableStaticNat(ipaddressid=address["id"], fetch_result=True) == {"success": True}
    assert only(cloud.listPublicIpAddresses(id=address["id"]), "publicipaddress")["isstaticnat"] is False


def test_change_of_the_source_nat_address(cloud, network, address):
    before = only(cloud.listPublicIpAddresses(associatednetworkid=network, issourcenat=True), "publicipaddress")
    refused(431, "source NAT", cloud.disassociateIpAddress, id=before["id"])
    changed = cloud.updateNetwork(
        id=network, displaytext="Leaves elsewhere", sourcenatipaddress=address["ipaddress"], fetch_result=True
    )["network"]
    assert changed["id"] == network and changed["displaytext"] == "Leaves elsewhere"
    after = only(cloud.listPublicIpAddresses(associatednetworkid=network, issourcenat=True), "publicipaddress")
    assert after["id"] == address["id"]
    assert cloud.disassociateIpAddress(id=before["id"], fetch_result=True) == {"success": True}
    remaining = cloud.listPublicIpAddresses(associatednetworkid=network)["publicipaddress"]
    assert [ip["id"] for ip in remaining] == [address["id"]]


def test_guests_stop_start_and_reboot(cloud, guests):
    guest = guests[1]["id"]
    assert cloud.stopVirtualMachine(id=guest, fetch_result=True)["virtualmachine"]["state"] == "Stopped"
    assert only(cloud.listVirtualMachines(id=guest, state="Stopped"), "virtualmachine")["id"] == guest
    assert cloud.startVirtualMachine(id=guest, fetch_result=True)["virtualmachine"]["state"] == "Running"
    assert cloud.rebootVirtualMachine(id=guest, fetch_result=True)["virtualmachine"]["state"] == "Running"


def test_routers(cloud, network):
    router = only(cloud.listRouters(networkid=network, listall=True), "router")
    assert router["state"] == "Running" and router["role"] == "VIRTUAL_ROUTER" and router["vpcid"] is None
    assert router["linklocalip"].startswith("169.254.") and router["guestnetworkid"] == network
    assert [nic["traffictype"] for nic in router["nic"]] == ["Guest", "Control", "Public"]
    ident = router["id"]
    verification = cloud.verifyRouter(id=ident)["verification"]
    assert [check["step"] for check in verification["check"]] == sorted(c["step"] for c in verification["check"])
    assert verification["routerid"] == ident and isinstance(verification["pass"], bool)
    assert cloud.stopRouter(id=ident, fetch_result=True)["router"]["state"] == "Stopped"
    resized = cloud.changeServiceForRouter(id=ident, serviceofferingid=router["serviceofferingid"])["router"]
    assert (resized["id"], resized["serviceofferingid"]) == (ident, router["serviceofferingid"])
    assert cloud.startRouter(id=ident, fetch_result=True)["router"]["state"] == "Running"
    assert cloud.rebootRouter(id=ident, fetch_result=True)["router"]["state"] == "Running"
    assert cloud.restartNetwork(id=network, fetch_result=True) == {"success": True}
    cloud.destroyRouter(id=ident, fetch_result=True)
    assert cloud.restartNetwork(id=network, cleanup=True, fetch_result=True) == {"success": True}
    again = only(cloud.listRouters(networkid=network), "router")
    assert again["state"] == "Running" and again["publicip"] == router["publicip"]


def test_the_router_passes_its_seven_steps(cloud, network, guests):
    router = only(cloud.listRouters(networkid=network), "router")

    def failures():
        return [check for check in cloud.verifyRouter(id=router["id"])["verification"]["check"] if not check["pass"]]

    cloud.createEgressFirewallRule(networkid=network, protocol="all", fetch_result=True)
    # A neighbour that missed the announcement of the router's new Ethernet address finds out by asking, after 8 s.
    deadline = time.monotonic() + 60
    while (failed := failures()) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not failed


def test_events_and_jobs_tell_what_happened(cloud, network):
    events = cloud.listEvents(resourceid=network, listall=True)["event"]
    assert events and all(event["level"] in ("INFO", "WARN", "ERROR") for event in events)
    assert all(DATE.fullmatch(event["created"]) and event["description"] for event in events)
    jobs = cloud.listAsyncJobs(listall=True, fetch_list=True)
    mine = [job for job in jobs if job["jobinstanceid"] == network]
    assert {"updateNetwork", "restartNetwork"} <= {job["cmd"] for job in mine}
    assert all(job["jobstatus"] == 1 for job in mine), mine


def test_lists_come_in_pages(cloud):
    total = cloud.listApis()["count"]
    assert total > 40
    every = cloud.listAsyncJobs(listall=True, page=1, pagesize=2)
    assert len(every["asyncjobs"]) == 2 and every["count"] >= 2
    past = cloud.listAsyncJobs(listall=True, page=100000, pagesize=2)
    assert set(past) == {"count"}
    free = cloud.listPublicIpAddresses(allocatedonly=False, fetch_list=True)
    assert {ip["state"] for ip in free} == {"Allocated", "Free"}


def test_what_is_wrong_is_refused(cloud, server, provided, network):
    gone = str(uuid.uuid4())
    text = f"Invalid parameter id value={gone} due to incorrect long value format, or entity does not exist"
    refused(431, text, cloud.listNetworks, id=gone)
    refused(431, text, cloud.deleteNetwork, id=gone)
    refused(431, "missing parameter zoneid", cloud.createNetwork, name="x", networkofferingid=provided["offering"])
    refused(431, "endport", cloud.createEgressFirewallRule, networkid=network, protocol="tcp", startport=2, endport=1)
    refused(536, "in use", cloud.deleteNetwork, id=network)
    refused(432, "noSuchCommand", cloud.noSuchCommand)
    stranger = CloudStack(**{**server, "secret": "wrong"}, method=cloud.method)
    refused(401, "unable to verify user credentials and/or request signature", stranger.listZones)


def test_it_all_goes_away_again(cloud, network, guests):
    for guest in guests:
        gone = cloud.destroyVirtualMachine(id=guest["id"], expunge=True, fetch_result=True)["virtualmachine"]
        assert gone["id"] == guest["id"]
    assert cloud.deleteNetwork(id=network, fetch_result=True) == {"success": True}
    with pytest.raises(CloudStackException):
        cloud.listNetworks(id=network)
    for command in ("listNetworks", "listVirtualMachines", "listRouters"):
        left = names(cloud, command, listall=True)
        assert not {name for name in left if name.startswith(f"cs-{cloud.method}")}, command
    assert network not in {ip.get("associatednetworkid") for ip in cloud.listPublicIpAddresses(fetch_list=True)}
    rules = cloud.listFirewallRules(fetch_list=True) + cloud.listPortForwardingRules(fetch_list=True)
    rules += cloud.listEgressFirewallRules(fetch_list=True)
    assert network not in {rule["networkid"] for rule in rules}
