"""What the fuzzer has to know beyond the document, and what keeps it on this machine.

The daemon calls the URLs of subscriptions, so the fuzzer may only write down such as lead back to this machine: valid
ones are made so here, and whatever else turns out to be a URL of another host is rewritten before it is sent. (The
runner puts the whole test into a network namespace of its own, too, where the kernel lets it.)
"""

import base64
import itertools
import json
import os
import re

import schemathesis
from hypothesis import strategies as st
from requests.adapters import HTTPAdapter

RECEIVER = os.environ["CONTRACT_RECEIVER"]

FILTERS = [
    "true",
    "event.data.amount > 100",
    'event.type.startsWith("TODO_")',
    'has(event.company) && event.company == "acme"',
    '"x" in event.data.tags || event.project != "website"',
]

schemathesis.openapi.format("cel", st.sampled_from(FILTERS))
schemathesis.openapi.format(
    "uri", st.builds("http://{}/{}".format, st.just(RECEIVER), st.from_regex(r"[a-z0-9]{0,12}", fullmatch=True))
)
schemathesis.openapi.format(
    "date-time",
    st.builds(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}{}{}".format,
        st.integers(1971, 9998),
        st.integers(1, 12),
        st.integers(1, 28),
        st.integers(0, 23),
        st.integers(0, 59),
        st.integers(0, 59),
        st.sampled_from(["", ".5", ".123", ".999999999"]),
        st.sampled_from(["Z", "+00:00", "+05:30", "-08:00"]),
    ),
)

# Of a private key with its public half only those that belong together are taken: seeds stand for both.
schemathesis.openapi.format(
    "signing-secret",
    st.one_of(
        st.binary(min_size=24, max_size=64).map(lambda key: "whsec_" + base64.b64encode(key).decode()),
        st.binary(min_size=32, max_size=32).map(lambda seed: "whsk_" + base64.b64encode(seed).decode()),
    ),
)

# In headers the fuzzer heeds a format, but not a pattern alone.
schemathesis.openapi.format("entity-tags", st.sampled_from(["*", '"1f"', 'W/"1f"', '"1f", W/"x"']))

# Lines have no schema that a generator could follow: events in JSON, one a line.
NAME = st.from_regex(r"[A-Za-z0-9_.:-]{1,20}", fullmatch=True)
EVENT = st.fixed_dictionaries({"type": NAME, "project": NAME}, optional={"data": st.none() | st.booleans() | st.text()})
schemathesis.openapi.format(
    "ndjson", st.lists(EVENT, max_size=5).map(lambda events: "\n".join(map(json.dumps, events)))
)


@schemathesis.serializer("application/x-ndjson")
def lines(context, value):
    if isinstance(value, bytes):
        return value
    return (value if isinstance(value, str) else json.dumps(value)).encode()


# What URL parsers of browsers, the daemon's among them, pass over or read as a slash.
URL = re.compile(r"^[\s\x00-\x20]*h\s*t\s*t\s*p\s*s?\s*:", re.IGNORECASE)


def is_ours(url):
    return url.startswith(f"http://{RECEIVER}/") and not re.search(r"[\s\\@]", url)


def keep_on_this_machine(body):
    if isinstance(body, dict):
        url = body.get("url")
        if isinstance(url, str) and URL.match(url) and not is_ours(url):
            body["url"] = f"http://{RECEIVER}/"


# A certificate that fits its key is beyond a schema, and is for https alone, where no receiver of ours listens:
# tests/delivery/receiver_tls.rs has them. What is no text stays, and is refused.
TLS = ("tls_ca", "tls_client_cert", "tls_client_key")


def leave_out_certificates(body):
    if isinstance(body, dict):
        for name in TLS:
            if isinstance(body.get(name), str):
                body[name] = None


@schemathesis.hook
def filter_case(context, case):
    """A body of lines that are all blank is an empty list, and no mistake, however it was come by."""
    return case.media_type != "application/x-ndjson" or not isinstance(case.body, str) or bool(case.body.strip())


@schemathesis.hook
def before_call(context, case, kwargs):
    keep_on_this_machine(case.body)
    leave_out_certificates(case.body)


# Wrong keys are counted by address and soon answered with 429. Each call without the right key comes from an address
# of its own, so that each is really judged.
KEY = os.environ.get("CONTRACT_KEY")
numbers = itertools.count()
send = HTTPAdapter.send


class Elsewhere(HTTPAdapter):
    """Connections from another address of this machine each."""

    def init_poolmanager(self, *args, **kwargs):
        number = next(numbers)
        address = f"127.{1 + number // 62500 % 250}.{1 + number // 250 % 250}.{1 + number % 250}"
        super().init_poolmanager(*args, source_address=(address, 0), **kwargs)


# A key that stands for another body already is refused, rightly: a valid one is made to stand for its call alone.
KEY_OF_A_CALL = re.compile(r"[!-~]{1,255}")
calls = itertools.count()


def take_a_new_key(headers):
    value = headers.get("Idempotency-Key")
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    if value and KEY_OF_A_CALL.fullmatch(value):
        headers["Idempotency-Key"] = f"{value[:200]}-{os.getpid()}-{next(calls)}"


def send_from_elsewhere(self, request, **kwargs):
    take_a_new_key(request.headers)
    is_known = KEY is None or request.headers.get("Authorization") == f"Bearer {KEY}"
    return send(self if is_known else Elsewhere(), request, **kwargs)


HTTPAdapter.send = send_from_elsewhere
