# SPDX-License-Identifier: Apache-2.0
"""`outgate api`: our own client, against a lab and against something that speaks like a CloudStack elsewhere (https)."""

import http.server
import json
import os
import ssl
import subprocess
import threading
import urllib.parse

import pytest

from lab import ROOT, eventually

OFFERING = "IsolatedNetworkEgressAllow"


@pytest.fixture(scope="module")
def api(lab):
    """`outgate api WORDS`; what it printed, or with code= that it ended so and said so."""

    def run(*words, code=0, **options):
        done = lab.outgate("api", *words, check=False, **options)
        assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stderr if code else done.stdout

    return run


def test_a_network_by_names_from_the_command_line(lab, api):
    ident = api(
        "CREATENETWORK", "Name=web", "zoneid=zone1", f"networkofferingid={OFFERING}", "displaytext=Web ~[x]* é", "-o", "id"
    ).strip()
    shown = json.loads(api("listNetworks", f"id={ident}", "-o", "json"))
    assert shown["count"] == 1 and shown["network"][0]["displaytext"] == "Web ~[x]* é"
    size = json.loads(api("listServiceOfferings", "-o", "json"))["serviceoffering"][0]["name"]
    template = json.loads(api("listTemplates", "templatefilter=executable", "-o", "json"))["template"][0]["name"]
    guest = api(
        "deployVirtualMachine", "zoneid=zone1", f"serviceofferingid={size}", f"templateid={template}", "networkids=web",
        "name=web1",
    )
    assert "Running" in guest and "nic.0.ipaddress" in guest
    address = api("associateIpAddress", "networkid=web", "--columns", "ipaddress", "-o", "text").removeprefix("ipaddress = ").strip()
    api(
        "createPortForwardingRule", f"ipaddressid={address}", "protocol=tcp", "publicport=80", "privateport=8000",
        "virtualmachineid=web1",
    )
    lab.serve("web1", 8000, "hello")
    lab.reached("internet", address, 80, "hello")
    table = api("listPortForwardingRules").splitlines()
    assert table[0].split()[:3] == ["IPADDRESS", "PROTOCOL", "PUBLICPORT"] and address in table[1]
    api("createTags", "resourcetype=Network", "resourceids=web", "tags[0].key=env", "Tags[0].value=prod")
    assert "env=prod" in api("listNetworks", "--columns", "name,tags")
    assert "\x1b" not in api("listNetworks")
    # A job that is not waited for.
    job = json.loads(api("rebootVirtualMachine", "id=web1", "--no-wait", "-o", "json"))["jobid"]
    eventually("the job ends", lambda: json.loads(api("queryAsyncJobResult", f"jobid={job}", "-o", "json"))["jobstatus"] == 1)
    assert "web1 is no" not in api("destroyVirtualMachine", "id=web1", "expunge=true")
    assert "success" in api("deleteNetwork", "id=web")
    assert api("listNetworks") == "" and json.loads(api("listNetworks", "-o", "json")) == {}
    lab.is_empty()


def test_refusals_and_wrong_usage_have_their_exit_codes(lab, api):
    told = api("listNetworks", "id=2f1a0f4e-1111-4222-8333-123456789abc", code=1)
    assert "does not exist" in told and "(error 431)" in told
    assert "did you mean one of listNetworks, " in api("listNetwrks", code=64)
    assert "did you mean zoneid?" in api("createNetwork", "zonid=zone1", code=64)
    assert "needs" in (told := api("createNetwork", "name=x", code=64)) and "zoneid (uuid)" in told
    assert "NAME=VALUE" in api("listNetworks", "lab", code=64)
    assert "neither an id nor a name" in api("deleteNetwork", "id=nobody", code=64)
    assert "432" in api("noSuchCommand", "--no-check", code=1)
    assert "no profile nowhere" in api("--profile", "nowhere", "listZones", code=64)
    elsewhere = {**lab.environment, "CLOUDSTACK_ENDPOINT": "http://127.0.0.1:1/client/api"}
    elsewhere.pop("OUTGATE_INSTANCE")
    done = subprocess.run([lab.program, "api", "listZones"], env=elsewhere, capture_output=True, text=True)
    assert done.returncode == 69 and "does not answer" in done.stderr


def test_help_lists_and_profiles(lab, api):
    assert " commands of http://127.0.0.1:" in api("sync")
    assert "createNetwork" in api("list", "NETWORK") and "createNetwork" not in api("list", "zone")
    shown = api("createNetwork", "--help")
    assert shown.index("zoneid") < shown.index("displaytext"), "what is required stands first"
    assert shown == api("help", "createnetwork")
    profiles = api("profile", "list")
    assert f"lab:{lab.name}" in profiles and lab.credentials["secret"] not in profiles
    assert lab.credentials["secret"] not in api("profile", "show")


def test_the_shell_completes_commands_parameters_and_names(lab, api):
    api("createNetwork", "name=shelf", "zoneid=zone1", f"networkofferingid={OFFERING}")

    def completed(*words):
        lines = lab.outgate("complete-api", "--", *words).stdout.splitlines()
        return [line.split("\t")[0] for line in lines]

    assert completed("createNetwork")[0] == "createNetwork" and "listNetworks" in completed("")
    assert "zoneid=" in completed("createNetwork", "") and "zoneid=" not in completed("createNetwork", "zoneid=zone1", "")
    assert completed("deleteNetwork", "id=") == ["id=shelf"]
    assert completed("deleteNetwork", "forced=") == ["forced=true", "forced=false"]
    script = f"""
    eval "$({lab.program} completions bash)"
    COMP_WORDBREAKS=$' \\t\\n"\\'><=;|&(:'
    COMP_LINE='{lab.program} api -o json deleteNetwork id=sh'; COMP_POINT=${{#COMP_LINE}}
    _outgate_or_api outgate sh = 2>/dev/null
    printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-c", script], env=lab.environment, capture_output=True, text=True)
    assert done.stdout.split() == ["shelf"], done
    api("deleteNetwork", "id=shelf")


class Elsewhere(http.server.BaseHTTPRequestHandler):
    """Speaks like a CloudStack that lists its commands, and notes what it was asked."""

    asked = []
    apis = [{
        "name": "listZones", "description": "Lists zones", "isasync": False,
        "params": [{"name": "available", "type": "boolean", "required": False, "description": "x", "length": 255}],
        "response": [{"name": "id", "type": "string"}],
    }, {
        "name": "createZone", "description": "Creates a zone", "isasync": False, "response": [],
        "params": [{"name": "name", "type": "string", "required": True, "description": "x"},
                   {"name": "password", "type": "string", "required": False, "description": "x"}],
    }]

    def do_GET(self):
        self.answer(urllib.parse.urlparse(self.path).query)

    def do_POST(self):
        self.answer(self.rfile.read(int(self.headers["Content-Length"])).decode())

    def answer(self, query):
        asked = dict(urllib.parse.parse_qsl(query))
        self.asked.append((self.command, asked))
        inner = {"listApis": {"count": 2, "api": self.apis}, "listZones": {"count": 1, "zone": [{"id": "1", "name": "far"}]}}
        body = json.dumps({asked["command"].lower() + "response": inner.get(asked["command"], {"success": True})}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json;charset=UTF-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def elsewhere(tmp_path):
    """An https server whose certificate its own authority signed; its address and that authority's file."""
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=CA:FALSE",
            "-keyout", tmp_path / "key.pem", "-out", tmp_path / "cert.pem"]
    subprocess.run(made, check=True, capture_output=True)
    server = http.server.ThreadingHTTPServer(("localhost", 0), Elsewhere)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Elsewhere.asked.clear()
    yield f"https://localhost:{server.server_port}/client/api", tmp_path / "cert.pem"
    server.shutdown()


def test_a_cloudstack_elsewhere_by_https_with_a_given_authority(tmp_path, elsewhere):
    endpoint, authority = elsewhere
    program = os.environ.get("OUTGATE", str(ROOT / "target/debug/outgate"))
    (tmp_path / ".cloudstack.ini").write_text(
        f"[cloudstack]\nendpoint = {endpoint}\nkey = k\nsecret = s\n[far]\nendpoint = {endpoint}\nkey = k\nsecret = s\n"
        f"verify = {authority}\n[blind]\nendpoint = {endpoint}\nkey = k\nsecret = s\nverify = false\nmethod = post\n"
    )
    (tmp_path / "secret.txt").write_text("hidden & ~\n")
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}

    def api(*words):
        return subprocess.run([program, "api", *words], env=environment, cwd=tmp_path, capture_output=True, text=True)

    refused = api("listZones")
    assert refused.returncode == 69 and not Elsewhere.asked, "a stranger's certificate is not believed"
    zones = api("--profile", "far", "listzones")
    assert zones.returncode == 0 and "far" in zones.stdout, zones
    assert [(method, asked["command"]) for method, asked in Elsewhere.asked] == [("GET", "listApis"), ("GET", "listZones")]
    made = api("--profile", "far", "createZone", "name=a b", "password=@secret.txt")
    assert made.returncode == 0 and made.stdout.split() == ["success", "true"], made
    method, asked = Elsewhere.asked[-1]
    assert method == "POST" and asked["name"] == "a b" and asked["password"] == "hidden & ~"
    assert asked["signatureVersion"] == "3" and asked["expires"].endswith("+0000") and asked["signature"]
    assert api("--profile", "blind", "listZones").returncode == 0 and Elsewhere.asked[-1][0] == "POST"
    assert list((tmp_path / ".cache/outgate/api").glob("far-*.json"))
