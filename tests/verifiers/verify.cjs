// Verifies signed requests with the package `standardwebhooks`, and X-Signature and ed25519 (`v1a`), which that
// package does not know, with node's own crypto.
//
// Reads one request a line: {"with", "headers", "body"}; answers each with a line: ok, or what is wrong.
"use strict";

const { createHmac, createPublicKey, verify } = require("node:crypto");
const { createInterface } = require("node:readline");
const { Webhook, WebhookVerificationError } = require("standardwebhooks");

const TOLERANCE = 5 * 60;

function verdict({ with: key, headers, body }) {
  if (key.startsWith("whpk_")) return asymmetric(key.slice("whpk_".length), headers, body);
  try {
    new Webhook(key).verify(body, headers);
  } catch (error) {
    if (error instanceof WebhookVerificationError) return `refused: ${error.message}`;
    throw error;
  }
  const signature = headers["x-signature"];
  const expected = createHmac("sha256", key).update(body).digest("hex");
  return signature === undefined || signature === expected ? "ok" : "refused: x-signature";
}

function asymmetric(digits, headers, body) {
  const x = Buffer.from(digits, "base64").toString("base64url");
  const key = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
  const at = headers["webhook-timestamp"];
  if (Math.abs(Date.now() / 1000 - Number(at)) > TOLERANCE) return "refused: its time";
  const message = Buffer.from(`${headers["webhook-id"]}.${at}.${body}`);
  const fits = headers["webhook-signature"]
    .split(" ")
    .map((signature) => signature.split(","))
    .some(([version, value]) => version === "v1a" && verify(null, message, key, Buffer.from(value, "base64")));
  return fits ? "ok" : "refused: no signature fits";
}

createInterface({ input: process.stdin }).on("line", (line) => console.log(verdict(JSON.parse(line))));
