// Adds copy buttons, automatic refresh, and live feedback in the editor.
// Every page works without this script. Each part starts only if the page has the elements that it needs.

const parse = (text) => new DOMParser().parseFromString(text, "text/html");

// Replaces the elements of this page that differ in `next`, matched by id. Skips an element that has the focus
// or a checked box. Keeps the open state of `details` elements and the scroll position.
function swap(next, selector) {
  for (const fresh of next.querySelectorAll(selector)) {
    const stale = document.getElementById(fresh.id);
    if (!stale || stale.innerHTML === fresh.innerHTML) continue;
    if (stale.querySelector("input:checked")) continue;
    if (stale.contains(document.activeElement) && document.activeElement !== document.body) continue;
    const open = [...stale.querySelectorAll("details")].map((one) => one.open);
    const scrolled = stale.querySelector("[tabindex]")?.scrollLeft ?? 0;
    stale.replaceChildren(...fresh.childNodes);
    stale.querySelectorAll("details").forEach((one, index) => {
      one.open = open[index] ?? one.open;
    });
    const region = stale.querySelector("[tabindex]");
    if (region) region.scrollLeft = scrolled;
    prepare(stale);
  }
}

// Shows the buttons that copy the text of an element.
function prepare(root) {
  if (!navigator.clipboard) return;
  for (const button of root.querySelectorAll("[data-copy]")) button.hidden = false;
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
  const label = button.textContent;
  button.textContent = document.body.dataset.copied;
  setTimeout(() => { button.textContent = label; }, 1500);
});

// Reloads the elements marked data-live periodically while the page is visible.
function startRefresh() {
  if (!document.querySelector("[data-live]")) return;
  const every = Number(document.querySelector("[data-every]")?.dataset.every ?? 2000);
  let tag = null;
  const refresh = async () => {
    if (!document.hidden) {
      try {
        const address = new URL(location.href);
        address.searchParams.delete("notice");
        const answer = await fetch(address, { headers: tag ? { "If-None-Match": tag } : {}, cache: "no-store" });
        tag = answer.headers.get("ETag");
        if (answer.status === 200 && !answer.redirected) swap(parse(await answer.text()), "[data-live]");
      } catch {
        // The daemon did not answer. The next refresh tries again.
      }
    }
    setTimeout(refresh, every);
  };
  setTimeout(refresh, every);
}

// The editor: shortly after each change, the daemon validates the form and previews its matches.
function enhanceEditor(form) {
  let timer = 0;
  let latest = 0;
  const ask = async () => {
    const number = ++latest;
    const answer = await fetch(form.dataset.draftUrl, { method: "POST", body: new URLSearchParams(new FormData(form)) });
    if (number !== latest || !answer.ok) return;
    const next = parse(await answer.text());
    swap(next, "[data-draft]");
    for (const field of form.querySelectorAll("[aria-describedby]")) {
      const invalid = document.getElementById(`problem-${field.name.replace(/_terms$/, "")}`)?.querySelector(".error");
      field.toggleAttribute("aria-invalid", Boolean(invalid));
      if (invalid) field.setAttribute("aria-invalid", "true");
    }
  };
  const soon = () => {
    clearTimeout(timer);
    timer = setTimeout(() => ask().catch(() => {}), 300);
  };
  form.addEventListener("input", soon);
  form.addEventListener("change", soon);
  form.addEventListener("click", (event) => {
    const button = event.target.closest("[data-pick], [data-check]");
    if (!button) return;
    event.preventDefault();
    for (const box of button.dataset.pick ? button.closest("fieldset").querySelectorAll("label:not([hidden]) > input") : []) {
      box.checked = button.dataset.pick === "all";
    }
    soon();
  });
  for (const search of form.querySelectorAll("[data-filter]")) {
    search.hidden = false;
    search.addEventListener("input", (event) => {
      event.stopPropagation();
      const wanted = event.target.value.trim().toLowerCase();
      for (const group of document.getElementById(search.dataset.filter).children) {
        let found = false;
        for (const choice of group.querySelectorAll("label")) {
          choice.hidden = !choice.textContent.toLowerCase().includes(wanted);
          found ||= !choice.hidden;
        }
        group.hidden = !found;
      }
    });
    search.addEventListener("keydown", (event) => {
      if (event.key === "Enter") event.preventDefault();
    });
  }
}

// The live page: adds a table row for each event of the stream.
function startLive(table) {
  const rows = table.tBodies[0];
  const words = table.dataset;
  const name = (id) => document.querySelector(`#live-names option[value="${CSS.escape(id)}"]`)?.label;
  const word = (family, value) => name(`${family}-${value}`) ?? value;
  const link = (path, text) => {
    const anchor = document.createElement("a");
    anchor.href = words.root + path;
    anchor.textContent = text;
    return anchor;
  };
  const badge = (family, value) => {
    const span = document.createElement("span");
    span.className = `state ${value}`;
    span.textContent = word(family, value);
    return span;
  };
  const subscription = (id) => link(`/subscriptions/${id}`, name(id) ?? id);
  const cells = {
    "event.accepted": (one) => [one.accepted_at, words.accepted, link(`/events/${one.event}`, one.type), `${one.company ? `${one.company}/` : ""}${one.project}, ${one.matched} ${one.matched === 1 ? words.matchedOne : words.matched}`],
    "attempt.finished": (one) => [one.started_at, `${words.attempt} ${one.number}`, subscription(one.subscription), `${one.status ?? word("error", one.error)}, ${one.duration_ms || "< 1"} ms`],
    "delivery.settled": (one) => [one.at, badge("state", one.state), subscription(one.subscription), link(`/deliveries/${one.delivery}`, `dlv_…${one.delivery.slice(-8)}`)],
    "subscription.changed": (one) => [one.at, words[one.change] ?? one.change, subscription(one.subscription), badge("health", one.health)],
    "stream.gap": () => [new Date().toISOString(), words.gap, "", ""],
  };
  const rowsMax = 200;
  let paused = false;
  const show = (kind, data) => {
    if (paused) return;
    const row = document.createElement("tr");
    row.className = "new-row";
    const [at, ...rest] = cells[kind](data);
    for (const content of [at.slice(11, 23), ...rest]) row.insertCell().append(content);
    rows.prepend(row);
    while (rows.rows.length > rowsMax) rows.lastElementChild.remove();
    document.getElementById("live-empty").hidden = true;
  };
  const state = document.getElementById("live-state");
  const source = new EventSource(words.stream);
  source.onopen = () => { state.textContent = state.dataset.open; };
  source.onerror = () => { state.textContent = state.dataset.closed; };
  for (const kind of Object.keys(cells)) source.addEventListener(kind, (event) => show(kind, JSON.parse(event.data)));
  const pause = document.getElementById("live-pause");
  pause.hidden = false;
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.textContent = paused ? pause.dataset.go : pause.dataset.pause;
  });
}

// Prevents a form from being submitted twice, and marks it as busy until the response arrives.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post") return;
  if (form.ariaBusy === "true") event.preventDefault();
  form.ariaBusy = "true";
});
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[aria-busy]")) form.ariaBusy = null;
});

prepare(document);
startRefresh();
const editor = document.getElementById("editor");
if (editor) enhanceEditor(editor);
const live = document.getElementById("live");
if (live) startLive(live);
