# SPDX-License-Identifier: Apache-2.0
"""Runs Ansible's playbooks against a lab."""

import json
import pathlib
import subprocess
import sys

FOLDER = pathlib.Path(__file__).resolve().parent / "ansible"


def play(lab, name, **variables):
    """Runs a playbook; it must succeed. Returns how many tasks changed something, and what its last task said."""
    environment = {
        **lab.environment,
        "ANSIBLE_STDOUT_CALLBACK": "json",
        "ANSIBLE_LOCALHOST_WARNING": "False",
        "ANSIBLE_INVENTORY_UNPARSED_WARNING": "False",
        "ANSIBLE_PIPELINING": "True",
        "ANSIBLE_NOCOLOR": "1",
        "LC_ALL": "C.UTF-8",
        # Where a virtual environment's Python looks for its own packages, not for the system's.
        "PYTHONPATH": "",
    }
    cloud = lab.cloud()
    known = {
        "zone": cloud.listZones()["zone"][0]["name"],
        "template": cloud.listTemplates(templatefilter="executable")["template"][0]["name"],
        "size": cloud.listServiceOfferings()["serviceoffering"][0]["name"],
        "ansible_python_interpreter": sys.executable,
    }
    done = subprocess.run(
        ["ansible-playbook", "-i", "localhost,", "-c", "local", "-e", json.dumps({**known, **variables}), FOLDER / name],
        env=environment, capture_output=True, text=True, timeout=300,
    )
    report = json.loads(done.stdout[done.stdout.index("{"):])
    tasks = [task for play in report["plays"] for task in play["tasks"]]
    assert done.returncode == 0, f"{name}: {failures(tasks)}\n{done.stderr}"
    return report["stats"]["localhost"]["changed"], tasks[-1]["hosts"]["localhost"].get("msg")


def free(lab, count):
    """Public addresses that nobody has."""
    found = lab.cloud().listPublicIpAddresses(allocatedonly=False, state="Free", listall=True)["publicipaddress"]
    return [address["ipaddress"] for address in found[-count:]]


def failures(tasks):
    """What went wrong, task by task."""
    failed = []
    for task in tasks:
        result = task["hosts"].get("localhost", {})
        for one in result.get("results", [result]):
            if one.get("failed"):
                failed.append(f"{task['task']['name']}: {one.get('msg')} {one.get('module_stderr', '')}")
    return "\n".join(failed)
