# SPDX-License-Identifier: Apache-2.0
"""schemathesis calls every command of the OpenAPI document with random parameters, right and wrong ones.

Nothing may be answered but what the document says, and no call may fail in Outgate itself: CloudStack's 530 is as wrong
as any other 5xx. OUTGATE_SCHEMA_CALLS says how many calls (2,000 when unset; ./x soak makes 20,000).
"""

import json
import os
import pathlib
import random
import time

import jsonschema_rs
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from openapi_spec_validator import validate
from schemathesis import GenerationMode

CALLS = int(os.environ.get("OUTGATE_SCHEMA_CALLS", "2000"))

DOCUMENTED = {503, 531, 532, 533, 534, 535, 536, 537}
"""Those of CloudStack's 5xx that say what the caller may not do; 530 is a failure of the server."""

# They would end the test's own session, or take the administrator's account away.
LEFT_OUT = {"login", "logout"}

LISTS = {
    "zoneid": ("listZones", "zone"),
    "networkofferingid": ("listNetworkOfferings", "networkoffering"),
    "serviceofferingid": ("listServiceOfferings", "serviceoffering"),
    "templateid": ("listTemplates", "template"),
    "vpcofferingid": ("listVPCOfferings", "vpcoffering"),
    "networkid": ("listNetworks", "network"),
    "networkids": ("listNetworks", "network"),
    "vpcid": ("listVPCs", "vpc"),
    "aclid": ("listNetworkACLLists", "networkacllist"),
    "virtualmachineid": ("listVirtualMachines", "virtualmachine"),
    "ipaddressid": ("listPublicIpAddresses", "publicipaddress"),
    "publicipid": ("listPublicIpAddresses", "publicipaddress"),
    "physicalnetworkid": ("listPhysicalNetworks", "physicalnetwork"),
    "podid": ("listPods", "pod"),
}
"""Where the ids come from that a parameter is given besides made-up ones."""


class Client:
    """A session of the lab's administrator."""

    def __init__(self, lab):
        self.endpoint = lab.credentials["endpoint"]
        self.http = requests.Session()
        password = (pathlib.Path(lab.folder.name) / lab.name / "admin-password").read_text().strip()
        form = {"command": "login", "username": "admin", "password": password, "response": "json"}
        reply = self.http.post(self.endpoint, data=form, timeout=60)
        assert reply.status_code == 200, reply.text
        self.key = reply.json()["loginresponse"]["sessionkey"]

    def get(self, command, **params):
        """What a command's envelope holds."""
        params = {"command": command, "response": "json", "sessionkey": self.key, **params}
        reply = self.http.get(self.endpoint, params=params, timeout=60)
        assert reply.status_code == 200, reply.text
        return next(iter(reply.json().values()))


@pytest.fixture(scope="module")
def client(lab):
    """A logged-in client."""
    return Client(lab)


@pytest.fixture(scope="module")
def document(client):
    """The OpenAPI document that the server hands out."""
    reply = client.http.get(f"{client.endpoint}/openapi.json", timeout=60)
    assert reply.status_code == 200
    return reply.json()


@pytest.fixture(scope="module")
def known(client, document):
    """Ids of what there is, by parameter. A network and a guest are made first, to be played with."""
    zone = client.get("listZones")["zone"][0]["id"]
    offering = client.get("listNetworkOfferings", name="DefaultIsolatedNetworkOfferingWithSourceNatService")
    client.get("createNetwork", name="seed", zoneid=zone, networkofferingid=offering["networkoffering"][0]["id"])
    there = {path.rsplit("/", 1)[1] for path in document["paths"]}
    ids = {}
    for param, (command, key) in LISTS.items():
        if command in there:
            more = {"templatefilter": "executable"} if command == "listTemplates" else {}
            ids[param] = [item["id"] for item in client.get(command, listall="true", **more).get(key, [])]
    return {param: found for param, found in ids.items() if found}


def test_the_document_is_valid_openapi(document):
    validate(document)


def operations(document, base):
    """Every operation, by the command's name."""
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=base)
    made = {}
    for result in schema.get_all_operations():
        operation = result.ok()
        made[operation.path.rsplit("/", 1)[1]] = operation
    return made


def faults(document, command, reply):
    """What is wrong with a reply."""
    if reply.status_code >= 500 and reply.status_code not in DOCUMENTED:
        return f"{reply.status_code}: {reply.text[:500]}"
    if reply.status_code in (400, 414, 431) and not reply.content:
        return None  # no HTTP that could be read, or a longer head than is read
    if not reply.headers["content-type"].startswith("application/json"):
        return reply.headers["content-type"]
    body = reply.json()
    if len(body) != 1:
        return f"not one key: {body}"
    (key, inner), = body.items()
    if reply.status_code == 200:
        return None if key == f"{command.lower()}response" else f"another key: {key}"
    if inner["errorcode"] != reply.status_code or not inner["errortext"] or inner["uuidList"] != []:
        return f"{reply.status_code}: {inner}"
    return None


def validator(document, command, method):
    """Checks what a command answers with when it worked."""
    schema = document["paths"][f"/client/api/{command}"][method]["responses"]["200"]["content"]["application/json"]["schema"]
    return jsonschema_rs.validator_for({**schema, "components": document["components"]})


def seeded(draw, values, known):
    """The same parameters, some of the ids replaced by such as there are."""
    if not isinstance(values, dict):
        return values
    values = dict(values)
    for name in values.keys() & known.keys():
        if draw(st.integers(0, 3)):
            values[name] = draw(st.sampled_from(known[name]))
    return values


def cases(operation):
    """Calls as the document wants them, and such as it does not."""
    modes = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    return st.one_of(*(operation.as_strategy(generation_mode=mode) for mode in modes))


def play(client, document, operation, command, known, calls):
    """Calls one command so often; gives how many calls were answered with what."""
    seen = {}
    method = operation.method.lower()
    right = validator(document, command, method)

    @settings(
        max_examples=calls, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck), derandomize=False,
    )
    @given(case=cases(operation), data=st.data())
    def called(case, data):
        case.query = {**(seeded(data.draw, case.query, known) or {}), "response": "json", "sessionkey": client.key}
        case.body = seeded(data.draw, case.body, known)
        reply = client.http.request(
            method, f"{client.endpoint}/{command}", params=case.query,
            data=case.body if isinstance(case.body, dict) else None, timeout=60,
        )
        wrong = faults(document, command, reply)
        if wrong is None and reply.status_code == 200:
            wrong = next((str(error) for error in right.iter_errors(reply.json())), None)
        assert wrong is None, f"{command}: {wrong}\nquery {case.query}\nform {case.body!r}"
        seen[reply.status_code] = seen.get(reply.status_code, 0) + 1

    called()
    return seen


def test_no_call_fails_in_outgate_itself(client, document, known):
    todo = {name: op for name, op in operations(document, client.endpoint).items() if name not in LEFT_OUT}
    each = max(1, -(-CALLS // len(todo)))
    names = sorted(todo)
    random.shuffle(names)
    total, wrong, started = {}, [], time.monotonic()
    for name in names:
        try:
            for status, count in play(client, document, todo[name], name, known, each).items():
                total[status] = total.get(status, 0) + count
        except AssertionError as error:
            wrong.append(str(error))
    seconds = time.monotonic() - started
    print(f"{sum(total.values())} calls of {len(todo)} commands in {seconds:.0f} s: {json.dumps(total, sort_keys=True)}")
    assert not wrong, "\n\n".join(wrong)
    assert sum(total.values()) >= min(CALLS, len(todo)) * 0.9
    assert total.get(200, 0) > 0
