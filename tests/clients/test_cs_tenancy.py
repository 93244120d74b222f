# SPDX-License-Identifier: Apache-2.0
"""cs drives domains, accounts, users, roles, keys, projects and limits."""

import pytest
from cs import CloudStackApiException

from lab import only, refused


@pytest.fixture(scope="module")
def root(lab):
    """Root's admin."""
    return lab.cloud("post")


@pytest.fixture(scope="module")
def domain(root):
    """A domain below ROOT."""
    made = root.createDomain(name="acme", networkdomain="acme.example")["domain"]
    assert made["path"] == "ROOT/acme" and made["parentdomainname"] == "ROOT" and made["level"] == 1
    assert only(root.listDomains(id=made["id"]), "domain")["name"] == "acme"
    return made["id"]


def person(root, domain, name, kind):
    """An account with a user of the same name; its id, and the user's."""
    made = root.createAccount(
        username=name, account=name, domainid=domain, accounttype=kind, password="correct horse battery",
        email=f"{name}@example.com", firstname=name.title(), lastname="Acme",
    )["account"]
    assert made["name"] == name and made["accounttype"] == kind and made["domainid"] == domain and made["state"].lower() == "enabled"
    return made["id"], made["user"][0]["id"]


@pytest.fixture(scope="module")
def people(lab, root, domain):
    """A domain's admin and two users, each with a client."""
    made = {}
    for name, kind in (("chief", 2), ("ann", 0), ("bob", 0)):
        account, user = person(root, domain, name, kind)
        keys = root.registerUserKeys(id=user)["userkeys"]
        assert root.getUserKeys(id=user)["userkeys"]["apikey"] == keys["apikey"]
        cloud = lab.cloud(key=keys["apikey"], secret=keys["secretkey"])
        seen = cloud.getUser(userapikey=keys["apikey"])["user"]
        assert (seen["account"], seen["domain"], seen["username"]) == (name, "acme", name)
        made[name] = {"account": account, "user": user, "cloud": cloud}
    return made


def test_roles_accounts_and_users(root, domain, people):
    roles = {role["name"]: role["type"] for role in root.listRoles()["role"]}
    assert roles["Root Admin"] == "Admin" and roles["User"] == "User" and roles["Domain Admin"] == "DomainAdmin"
    listed = root.listAccounts(domainid=domain, listall=True)["account"]
    assert {account["name"] for account in listed} == {"chief", "ann", "bob"}
    assert only(root.listAccounts(name="ann", domainid=domain, listall=True), "account")["id"] == people["ann"]["account"]
    second = root.createUser(
        username="amy", account="ann", domainid=domain, password="staple", email="amy@example.com", firstname="Amy", lastname="A"
    )["user"]
    changed = root.updateUser(id=second["id"], email="amy@acme.example")["user"]
    assert changed["email"] == "amy@acme.example" and changed["account"] == "ann"
    assert root.disableUser(id=second["id"], fetch_result=True)["user"]["state"] == "disabled"
    assert root.enableUser(id=second["id"])["user"]["state"] == "enabled"
    assert {user["username"] for user in root.listUsers(account="ann", domainid=domain)["user"]} == {"ann", "amy"}
    assert root.deleteUser(id=second["id"])["success"] is True


def test_everybody_sees_what_is_theirs(lab, root, domain, people):
    ann, bob, chief = (people[name]["cloud"] for name in ("ann", "bob", "chief"))
    network = lab.network("ann-net", cloud=ann)
    assert network["account"] == "ann" and network["domainid"] == domain
    assert only(ann.listNetworks(listall=True), "network")["id"] == network["id"]
    assert bob.listNetworks(listall=True) == {}
    # Not even that it exists.
    refused(431, "does not exist", bob.listNetworks, id=network["id"])
    with pytest.raises(CloudStackApiException) as caught:
        bob.deleteNetwork(id=network["id"])
    assert caught.value.error["errorcode"] in (431, 531)
    assert chief.listNetworks() == {} and only(chief.listNetworks(listall=True), "network")["id"] == network["id"]
    assert only(root.listNetworks(account="ann", domainid=domain), "network")["id"] == network["id"]
    assert only(root.listNetworks(domainid=domain, isrecursive=True, listall=True), "network")["id"] == network["id"]
    assert root.listNetworks() == {}, "root's own, without listall"
    with pytest.raises(CloudStackApiException):
        ann.listAccounts(name="bob", domainid="00000000-0000-4000-8000-000000000000")
    with pytest.raises(CloudStackApiException):
        ann.createDomain(name="nope")


def test_limits(lab, root, domain, people):
    limit = root.updateResourceLimit(resourcetype=6, max=1, account="bob", domainid=domain)["resourcelimit"]
    assert limit["max"] == 1 and limit["resourcetype"] == "6"
    bob = people["bob"]["cloud"]
    made = lab.network("bob-net", cloud=bob)
    refused(535, "", lambda: lab.network("bob-second", cloud=bob))
    limits = {one["resourcetype"]: one["max"] for one in bob.listResourceLimits()["resourcelimit"]}
    assert limits["6"] == 1
    shown = only(root.listAccounts(name="bob", domainid=domain, listall=True), "account")
    assert (shown["networktotal"], shown["networklimit"]) == (1, "1")
    bob.deleteNetwork(id=made["id"], fetch_result=True)


def test_projects(lab, root, domain, people):
    ann, bob = people["ann"]["cloud"], people["bob"]["cloud"]
    reply = ann.createProject(name="site", displaytext="The site", fetch_result=True)["project"]
    project = only(ann.listProjects(id=reply["id"]), "project")
    assert project["state"] == "Active" and project["domainid"] == domain and bob.listProjects(listall=True) == {}
    network = lab.network("site-net", cloud=ann, projectid=project["id"])
    assert network["projectid"] == project["id"] and network["project"] == "site" and "account" not in network
    assert "site-net" not in {n["name"] for n in ann.listNetworks(listall=True, fetch_list=True)}, "hidden without projectid"
    assert only(ann.listNetworks(projectid=project["id"]), "network")["id"] == network["id"]
    assert network["id"] in {n["id"] for n in ann.listNetworks(projectid="-1", fetch_list=True)}
    ann.addAccountToProject(projectid=project["id"], account="bob", fetch_result=True)
    assert {a["account"] for a in ann.listProjectAccounts(projectid=project["id"])["projectaccount"]} == {"ann", "bob"}
    assert only(bob.listNetworks(projectid=project["id"]), "network")["id"] == network["id"]
    assert ann.suspendProject(id=project["id"], fetch_result=True)["project"]["state"] == "Suspended"
    assert ann.activateProject(id=project["id"], fetch_result=True)["project"]["state"] == "Active"
    changed = ann.updateProject(id=project["id"], displaytext="Another", fetch_result=True)["project"]
    assert changed["displaytext"] == "Another"
    ann.deleteAccountFromProject(projectid=project["id"], account="bob", fetch_result=True)
    with pytest.raises(CloudStackApiException):
        bob.listNetworks(projectid=project["id"])
    ann.deleteNetwork(id=network["id"], fetch_result=True)
    assert ann.deleteProject(id=project["id"], fetch_result=True) == {"success": True}


def test_who_is_disabled_or_deleted_stays_outside(lab, root, domain, people):
    bob = people["bob"]["cloud"]
    assert root.disableAccount(id=people["bob"]["account"], lock=False, fetch_result=True)["account"]["state"] == "disabled"
    refused(401, "unable to verify", bob.listZones)
    assert root.enableAccount(id=people["bob"]["account"])["account"]["state"] == "enabled"
    assert bob.listZones()["count"] == 1
    assert root.lockAccount(account="bob", domainid=domain)["account"]["state"] == "locked"
    root.enableAccount(account="bob", domainid=domain)
    refused(431, "", root.deleteDomain, id=domain, fetch_result=True)
    for name in ("chief", "bob", "ann"):
        assert root.deleteAccount(id=people[name]["account"], fetch_result=True) == {"success": True}
        refused(401, "unable to verify", people[name]["cloud"].listZones)
    assert root.updateDomain(id=domain, name="umbrella")["domain"]["path"] == "ROOT/umbrella"
    assert root.deleteDomain(id=domain, fetch_result=True) == {"success": True}
    lab.is_empty()
