"""Verifies signed requests with the package `standardwebhooks`, and X-Signature with the standard library.

Reads one request a line: {"secret", "headers", "body"}; answers each with a line: ok, or what is wrong.
"""

import hashlib
import hmac
import json
import sys

from standardwebhooks import Webhook, WebhookVerificationError


def verdict(request):
    secret, headers, body = request["secret"], request["headers"], request["body"]
    try:
        Webhook(secret).verify(body, headers)
    except WebhookVerificationError as error:
        return f"refused: {error}"
    if "x-signature" in headers:
        expected = hmac.new(secret.encode(), body.encode(), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(expected, headers["x-signature"]):
            return "refused: x-signature"
    return "ok"


for line in sys.stdin:
    print(verdict(json.loads(line)))
