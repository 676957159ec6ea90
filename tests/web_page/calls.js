// Tries everything that a page can try with the daemon at `base`, and tells what came of each attempt.
// Arguments: base, the id of a subscription, and the callback of WebDriver.
const [base, id, done] = arguments;

const event = JSON.stringify({ type: "FROM_A_PAGE", project: "p" });
const subscription = JSON.stringify({ url: "http://127.0.0.1:9/", name: "from a page" });
const json = { "content-type": "application/json" };
const seen = {};

/** Notes what an attempt came to: the kind of answer, and all that can be read of it. */
async function tell(name, attempt) {
  try {
    const answer = await attempt();
    seen[name] = answer instanceof Response
      ? { kind: answer.type, status: answer.status, text: await answer.text() }
      : answer;
  } catch (error) {
    seen[name] = { kind: "error", status: 0, text: String(error) };
  }
}

const call = (path, options) => () => fetch(base + path, options);

/** An element that loads something, until it has or has not. */
const element = (tag, attributes) => () =>
  new Promise((resolve) => {
    const made = Object.assign(document.createElement(tag), attributes);
    const told = (kind) => () => resolve({ kind, status: 0, text: contentOf(made) });
    made.onload = told("load");
    made.onerror = told("error");
    (document.body ?? document.documentElement).append(made);
  });

/** What this page can read of a frame. */
function contentOf(frame) {
  try {
    return frame.contentDocument?.documentElement.textContent ?? "";
  } catch {
    return "";
  }
}

/** A form that posts `text` in the one way that a form has to say anything, into a frame. */
const form = (path, enctype, text) => () =>
  new Promise((resolve) => {
    const frame = Object.assign(document.createElement("iframe"), { name: `frame ${Math.random()}` });
    const made = Object.assign(document.createElement("form"), {
      method: "post", action: base + path, enctype, target: frame.name,
    });
    // `name=value` as text/plain is JSON if both are chosen well.
    const [name, value] = text === "" ? ["", ""] : [text.slice(0, -1) + ',"x":"', '"}'];
    made.append(Object.assign(document.createElement("input"), { type: "hidden", name, value }));
    document.documentElement.append(frame, made);
    frame.onload = () => resolve({ kind: "load", status: 0, text: contentOf(frame) });
    made.submit();
  });

const events = (path) => () =>
  new Promise((resolve) => {
    const source = new EventSource(base + path);
    const told = (kind) => () => { source.close(); resolve({ kind, status: 0, text: "" }); };
    source.onopen = told("open");
    source.onerror = told("error");
  });

const beacon = (path, text, type) => async () => {
  const queued = navigator.sendBeacon(base + path, new Blob([text], { type }));
  return { kind: "beacon", status: 0, text: String(queued) };
};

async function reads() {
  for (const path of ["/v1/subscriptions", `/v1/subscriptions/${id}`, "/v1/events", "/v1/deliveries", "/openapi.json", "/healthz"]) {
    await tell(`fetch ${path}`, call(path));
    await tell(`fetch with credentials ${path}`, call(path, { credentials: "include" }));
    await tell(`fetch no-cors ${path}`, call(path, { mode: "no-cors" }));
  }
  const path = "/v1/subscriptions";
  await tell("fetch with a header of its own", call(path, { headers: { "x-own": "1" } }));
  await tell("img", element("img", { src: `${base}${path}?limit=1` }));
  await tell("script", element("script", { src: `${base}${path}?limit=2` }));
  await tell("stylesheet", element("link", { rel: "stylesheet", href: `${base}${path}?limit=3` }));
  await tell("iframe", element("iframe", { src: `${base}${path}?limit=4` }));
  await tell("object", element("object", { data: `${base}${path}?limit=5` }));
  await tell("event source", events(path));
}

async function writes() {
  for (const [path, text] of [["/v1/events", event], ["/v1/subscriptions", subscription], [`/v1/subscriptions/${id}/disable`, ""], [`/v1/subscriptions/${id}/rotate-secret`, ""]]) {
    const body = text || undefined;
    await tell(`post json ${path}`, call(path, { method: "POST", headers: json, body }));
    await tell(`post text ${path}`, call(path, { method: "POST", body }));
    await tell(`post no-cors text ${path}`, call(path, { method: "POST", mode: "no-cors", body }));
    await tell(`post no-cors json ${path}`, call(path, { method: "POST", mode: "no-cors", headers: json, body }));
    await tell(`post no-cors nothing ${path}`, call(path, { method: "POST", mode: "no-cors" }));
    await tell(`post keepalive ${path}`, call(path, { method: "POST", mode: "no-cors", keepalive: true, body }));
    await tell(`post with a key ${path}`, call(path, { method: "POST", headers: { ...json, authorization: "Bearer x" }, body }));
    for (const type of ["text/plain", "application/json"]) {
      await tell(`beacon ${type} ${path}`, beacon(path, text, type));
    }
    for (const enctype of ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]) {
      await tell(`form ${enctype} ${path}`, form(path, enctype, text));
    }
  }
  const one = `/v1/subscriptions/${id}`;
  await tell("patch", call(one, { method: "PATCH", headers: json, body: '{"name":"from a page"}' }));
  await tell("put", call(one, { method: "PUT", headers: json, body: '{"name":"from a page"}' }));
  await tell("delete", call(one, { method: "DELETE" }));
}

(async () => {
  await reads();
  await writes();
})().then(() => done(seen), (error) => done({ broken: { kind: "broken", status: 0, text: String(error) } }));
