// Verifies signed requests with the package `standardwebhooks`, and X-Signature with node's own crypto.
//
// Reads one request a line: {"secret", "headers", "body"}; answers each with a line: ok, or what is wrong.
"use strict";

const { createHmac } = require("node:crypto");
const { createInterface } = require("node:readline");
const { Webhook, WebhookVerificationError } = require("standardwebhooks");

function verdict({ secret, headers, body }) {
  try {
    new Webhook(secret).verify(body, headers);
  } catch (error) {
    if (error instanceof WebhookVerificationError) return `refused: ${error.message}`;
    throw error;
  }
  const signature = headers["x-signature"];
  const expected = createHmac("sha256", secret).update(body).digest("hex");
  return signature === undefined || signature === expected ? "ok" : "refused: x-signature";
}

createInterface({ input: process.stdin }).on("line", (line) => console.log(verdict(JSON.parse(line))));
