# SPDX-License-Identifier: Apache-2.0
"""Ansible makes a domain, an account, users and a project with a load balancer, and takes them away."""

import secrets

import pytest
from cs import CloudStackApiException

from lab import eventually
from playbooks import free, play


def test_accounts_projects_and_a_load_balancer(lab):
    password = secrets.token_urlsafe(16)
    (balancer,) = free(lab, 1)
    changed, made = play(lab, "tenancy.yml", password=password, balancer=balancer)
    assert changed == 11, "each task but the last"
    lab.serve("site1", 8080, "one")
    lab.serve("site2", 8080, "two")
    answers = set()
    eventually(
        f"both answer: {answers}",
        lambda: answers.add(lab.fetch("internet", balancer, 80)) or answers >= {"one", "two"},
    )
    # Who belongs to the account sees what is the account's, and nothing else.
    bob = lab.cloud(key=made["key"], secret=made["secret"])
    assert [network["name"] for network in bob.listNetworks(listall=True, fetch_list=True)] == ["office"]
    assert bob.listVirtualMachines(listall=True) == {} and bob.listProjects(listall=True) == {}
    with pytest.raises(CloudStackApiException):
        bob.listNetworks(id=lab.cloud().listNetworks(projectid=-1)["network"][0]["id"])

    changed, again = play(lab, "tenancy.yml", password=password, balancer=balancer)
    assert (changed, again) == (0, made), "a second run changes nothing"

    changed, _ = play(lab, "tenancy-absent.yml", balancer=balancer)
    assert changed == 10
    lab.is_empty()
    assert "acme" not in {domain["name"] for domain in lab.cloud().listDomains(listall=True)["domain"]}
    with pytest.raises(CloudStackApiException):
        bob.listZones()
