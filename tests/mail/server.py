"""A mail server: takes what it is told to, and prints a line of JSON for each thing that it is asked.

    server.py PORT [CERT KEY]

With a certificate it offers STARTTLS, and demands it together with the name `postrider` and the password `s3cret/?`.
Mail to later@… is put off once, mail to never@… is refused for good.
"""

import asyncio
import email
import email.policy
import json
import ssl
import sys

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult


def say(**what):
    print(json.dumps(what), flush=True)


class Handler:
    def __init__(self):
        self.put_off = 0

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("never@"):
            say(rcpt=address, answer=550)
            return "550 5.1.1 no such user"
        if address.startswith("later@") and self.put_off < 1:
            self.put_off += 1
            say(rcpt=address, answer=451)
            return "451 4.7.1 come again"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        say(
            sender=envelope.mail_from,
            to=envelope.rcpt_tos,
            headers={name.lower(): str(value) for name, value in message.items()},
            body=message.get_content(),
            tls=session.ssl is not None,
            login=bool(session.authenticated),
        )
        return "250 taken"


def authenticate(server, session, envelope, mechanism, data):
    return AuthResult(success=(data.login, data.password) == (b"postrider", b"s3cret/?"))


port, files = int(sys.argv[1]), sys.argv[2:]
options = {}
if files:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)
    options = dict(tls_context=context, require_starttls=True, authenticator=authenticate, auth_required=True)
controller = Controller(Handler(), hostname="127.0.0.1", port=port, **options)
controller.start()
say(ready=True)
asyncio.new_event_loop().run_forever()
