"""Holds the daemon to its OpenAPI document: linters over the document, then a fuzzer over a running daemon.

One daemon has keys, of which each role's and none at all are tried; another has no keys, and serves loopback alone.
Fails if a linter complains, if one answer is not as documented, or if the daemon falls over.
"""

import contextlib
import fcntl
import hashlib
import http.server
import json
import os
import pathlib
import random
import re
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

HERE = pathlib.Path(__file__).parent
TOOLS = HERE.parent.parent / "target" / "contract"
SECONDS_MAX = int(os.environ.get("SECONDS_MAX", "150"))
SEED = int(os.environ.get("SEED", random.randrange(1 << 32)))
EVERY_PHASE = "examples,coverage,fuzzing,stateful"

# Whose calls, with which part of the time, and in which phases: callers who may do little are answered the same
# whatever they send.
RUNS = [
    ("admin", 0.4, EVERY_PHASE),
    ("read", 0.1, EVERY_PHASE),
    ("ingest", 0.1, EVERY_PHASE),
    ("nobody", 0.1, "examples,coverage"),
    ("keyless", 0.3, EVERY_PHASE),
]

# By name, with the reason: what is not tried, or not held to a check.
LEFT_OUT = {
    # An answer without an end: the fuzzer would wait for it.
    "/v1/stream": "server-sent events",
}


def raise_loopback():
    """A new network namespace has loopback, switched off."""
    up_and_running, set_flags = 0x41, 0x8914
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, set_flags, struct.pack("16sh22x", b"lo", up_and_running))


class Receiver(http.server.BaseHTTPRequestHandler):
    """Takes most of what comes, and is now and then as receivers are."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status = random.choice([200] * 12 + [204, 500, 503, 410])
        self.send_response(status)
        if status == 503:
            self.send_header("Retry-After", "1")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


def receive():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"127.0.0.1:{server.server_address[1]}"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Daemon:
    """A running daemon with these keys, on a directory of its own."""

    def __init__(self, executable, directory, keys):
        self.address = f"127.0.0.1:{free_port()}"
        self.keys = keys
        self.log = directory / "log"
        config = directory / "config.toml"
        config.write_text(
            f'[server]\nlisten = ["{self.address}"]\n[storage]\npath = "{directory}/data"\ndisk_reserve = "1MiB"\n'
            '[delivery]\nallow_networks = ["127.0.0.0/8"]\nretry_schedule = ["100ms", "200ms"]\n'
            + "".join(
                f'[[auth.keys]]\nname = "{role}"\nrole = "{role}"\nsha256 = "{hashlib.sha256(key.encode()).hexdigest()}"\n'
                for role, key in keys.items()
            )
            + '[[event_types]]\nname = "TODO_CREATED"\ngroup = "Records"\ndescription = "A record was created."\n'
            '[[projects]]\ncompany = "acme"\nid = "website"\nname = "Website"\n'
        )
        output = open(self.log, "wb")
        self.process = subprocess.Popen([executable, "--config", config], stdout=output, stderr=output)
        self.wait()

    def wait(self):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                if self.call("GET", "/readyz") is not None:
                    return
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        sys.exit(f"the daemon did not start:\n{self.log.read_text()}")

    def call(self, method, path, body=None):
        request = urllib.request.Request(f"http://{self.address}{path}", method=method)
        if self.keys:
            request.add_header("Authorization", f"Bearer {self.keys['admin']}")
        if body is not None:
            request.add_header("Content-Type", "application/json")
            request.data = json.dumps(body).encode()
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read()

    def furnish(self, receiver):
        """Things for the fuzzer to find."""
        for name in ("crm", "chat"):
            self.call("POST", "/v1/subscriptions", {"name": name, "url": f"http://{receiver}/{name}"})
        events = [{"type": "TODO_CREATED", "project": "website", "company": "acme", "data": n} for n in range(20)]
        self.call("POST", "/v1/events", events)

    def problems(self, receiver):
        """What is wrong with the daemon after a run."""
        found = []
        if self.process.poll() is not None:
            found.append(f"the daemon ended with {self.process.returncode}")
        else:
            shown = json.loads(self.call("GET", "/v1/subscriptions?limit=500"))["items"]
            strays = [one["url"] for one in shown if not one["url"].startswith(f"http://{receiver}/")]
            found += [f"a subscription leads elsewhere: {url}" for url in strays]
        told = self.log.read_text(errors="replace").splitlines()
        found += [f"in its log: {line}" for line in told if re.search(r"panicked|failed inside| ERROR ", line)][:10]
        return found

    def stop(self):
        self.process.terminate()
        self.process.wait(30)


def lint(document, directory):
    """Public linters over the document."""
    path = directory / "openapi.json"
    path.write_bytes(document)
    validator = [TOOLS / "python/bin/openapi-spec-validator", path]
    redocly = [TOOLS / "node_modules/.bin/redocly", "lint", "--config", HERE / "redocly.yaml", path]
    quiet = {**os.environ, "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true", "REDOCLY_TELEMETRY": "off"}
    for command in (validator, redocly):
        subprocess.run(command, check=True, env=quiet, cwd=directory, timeout=300)


def document_for(daemon, directory):
    """The document as it holds for this daemon: one without keys asks for none."""
    document = json.loads(daemon.call("GET", "/openapi.json"))
    if not daemon.keys:
        del document["security"], document["components"]["securitySchemes"]
    path = directory / "openapi.json"
    path.write_text(json.dumps(document))
    return path


def fuzz(daemon, role, seconds, phases, receiver, directory):
    """One run of the fuzzer as one caller: how many cases there were and what was wrong."""
    key = "" if role == "nobody" else daemon.keys.get(role)
    report, output = directory / f"{role}.json", directory / f"{role}.txt"
    command = [TOOLS / "python/bin/schemathesis", "--config-file", HERE / "schemathesis.toml", "run"]
    command += [document_for(daemon, directory), "--url", f"http://{daemon.address}", "--no-color"]
    command += ["--checks", "all", "--phases", phases, "--seed", str(SEED), "--max-time", str(seconds)]
    command += ["--report", "json", "--report-json-path", report]
    if key:
        command += ["--header", f"Authorization: Bearer {key}"]
    for path in LEFT_OUT:
        command += ["--exclude-path", path]
    own = {"SCHEMATHESIS_HOOKS": str(HERE / "hooks.py"), "CONTRACT_RECEIVER": receiver, "COLUMNS": "120"}
    if key is not None:
        own["CONTRACT_KEY"] = key
    with open(output, "wb") as out:
        # Longer than it may take: reached only when it hangs.
        done = subprocess.run(command, env={**os.environ, **own}, cwd=directory, stdout=out, stderr=out, timeout=seconds + 300)
    if not report.exists():
        sys.exit(f"the fuzzer made no report:\n{output.read_text()}")
    told = json.loads(report.read_text())
    cases, failures, errors = told["test_cases"]["generated"], told["test_cases"]["unique_failures"], len(told["errors"])
    tested = f"{told['operations']['tested']} of {told['operations']['total']} operations"
    print(f"contract: {role}: {cases} cases, {failures} failures, {errors} errors, {tested}", flush=True)
    if done.returncode != 0:
        print(output.read_text())
    return cases, failures + errors + (done.returncode != 0)


def main():
    executable = pathlib.Path(sys.argv[1]).resolve()
    if "--alone" in sys.argv:
        raise_loopback()
        print("contract: in a network namespace of its own")
    else:
        print("contract: no namespace of its own here: URLs are kept to 127.0.0.1 by the hook alone")
    print(f"contract: SEED={SEED} SECONDS_MAX={SECONDS_MAX}", flush=True)
    random.seed(SEED)
    receiver = receive()
    with tempfile.TemporaryDirectory() as temporary:
        try_all(executable, receiver, pathlib.Path(temporary))


def try_all(executable, receiver, directory):
    cases = wrong = 0
    keys = {role: f"prk_{role}_{SEED}" for role in ("admin", "read", "ingest")}
    for number, (role, share, phases) in enumerate(RUNS):
        place = directory / str(number)
        place.mkdir()
        daemon = Daemon(executable, place, {} if role == "keyless" else keys)
        try:
            if number == 0:
                lint(daemon.call("GET", "/openapi.json"), place)
            daemon.furnish(receiver)
            more, failed = fuzz(daemon, role, max(5, int(SECONDS_MAX * share)), phases, receiver, place)
            problems = daemon.problems(receiver)
        finally:
            daemon.stop()
        print("".join(f"contract: {role}: {problem}\n" for problem in problems), end="")
        cases, wrong = cases + more, wrong + failed + len(problems)
    print(f"contract: {cases} cases, {wrong} failures, SEED={SEED}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
