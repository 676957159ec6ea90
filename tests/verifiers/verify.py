"""Verifies signed requests with the package `standardwebhooks`, and X-Signature with the standard library.

What that package does not know, signatures by ed25519 (`v1a`), the package `cryptography` verifies.

Reads one request a line: {"with", "headers", "body"}; answers each with a line: ok, or what is wrong.
"""

import base64
import hashlib
import hmac
import json
import sys
import time

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from standardwebhooks import Webhook, WebhookVerificationError

TOLERANCE = 5 * 60


def verdict(request):
    key, headers, body = request["with"], request["headers"], request["body"]
    if key.startswith("whpk_"):
        return asymmetric(key.removeprefix("whpk_"), headers, body)
    try:
        Webhook(key).verify(body, headers)
    except WebhookVerificationError as error:
        return f"refused: {error}"
    if "x-signature" in headers:
        expected = hmac.new(key.encode(), body.encode(), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(expected, headers["x-signature"]):
            return "refused: x-signature"
    return "ok"


def asymmetric(digits, headers, body):
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(digits))
    at = headers["webhook-timestamp"]
    if abs(time.time() - int(at)) > TOLERANCE:
        return "refused: its time"
    message = f"{headers['webhook-id']}.{at}.{body}".encode()
    for signature in headers["webhook-signature"].split(" "):
        version, value = signature.split(",")
        if version != "v1a":
            continue
        try:
            key.verify(base64.b64decode(value), message)
            return "ok"
        except InvalidSignature:
            pass
    return "refused: no signature fits"


for line in sys.stdin:
    print(verdict(json.loads(line)))
