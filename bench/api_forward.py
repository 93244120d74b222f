# SPDX-License-Identifier: Apache-2.0
"""How long one more port forwarding rule takes, from the API call to its finished job (the rule is in the kernel then),
beside 10, 100, 1,000 and 10,000 others. Prints one JSON line for each number.

Usage: api_forward.py CREDENTIALS_FILE    (of a lab with nothing in it but its first network)
"""

import concurrent.futures
import configparser
import json
import statistics
import sys
import time

from cs import CloudStack

SIZES = (10, 100, 1000, 10000)
RUNS = 15


def client(path):
    ini = configparser.ConfigParser()
    ini.read(path)
    return CloudStack(**{key: ini["cloudstack"][key] for key in ("endpoint", "key", "secret")})


def wait(cs, job):
    while True:
        result = cs.queryAsyncJobResult(jobid=job["jobid"])
        if result["jobstatus"] == 1:
            return
        if result["jobstatus"] == 2:
            raise SystemExit(result)
        time.sleep(0.001)


def main():
    cs = client(sys.argv[1])
    address = cs.listPublicIpAddresses(issourcenat=True, listall=True)["publicipaddress"][0]["id"]
    guest = cs.listVirtualMachines(listall=True)["virtualmachine"][0]["id"]

    def add(port):
        return cs.createPortForwardingRule(
            ipaddressid=address, protocol="tcp", publicport=port, privateport=port,
            virtualmachineid=guest, openfirewall=False)

    ports = iter(range(1000, 65000))
    count = 0
    for size in SIZES:
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            jobs = list(pool.map(add, [next(ports) for _ in range(size - count)]))
        for job in jobs:
            wait(cs, job)
        times = []
        for _ in range(RUNS):
            start = time.perf_counter()
            wait(cs, add(next(ports)))
            times.append((time.perf_counter() - start) * 1000)
        count = size + RUNS
        print(json.dumps({"forwards": size, "max_ms": round(max(times), 1), "median_ms": round(statistics.median(times), 1),
                          "min_ms": round(min(times), 1)}), flush=True)


main()
