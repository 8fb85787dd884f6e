// Keeps one page up to date: takes the worker's news, fetches the part that changed, runs the clocks on.

/* global Idiomorph */

const body = document.body;
const live = () => document.getElementById("live");
const FETCH_WITHIN_MS = 5000;
const AT_LEAST_EVERY_MS = 20000;

// the one policy: it passes our own pages and our own worker, nothing else
const policy = window.trustedTypes?.createPolicy("console", {
  createHTML: (text) => text,
  createScriptURL: (address) => {
    if (!address.startsWith("/static/worker.js?")) throw new TypeError("not the console's worker");
    return address;
  },
}) ?? { createHTML: (text) => text, createScriptURL: (address) => address };

// --- the time: the server's, run on between two beats ---------------------------------------------------------------

let base = { at: Number(live().dataset.at), rate: Number(live().dataset.rate), heard: performance.now() };
let lost = false;

const now = () => base.at + (performance.now() - base.heard) * base.rate;
const two = (number) => String(number).padStart(2, "0");

function clock(at, offset) {
  return new Date(at + offset * 60000).toISOString().slice(11, 19);
}

function duration(ms) {
  const seconds = Math.floor(Math.abs(ms) / 1000);
  return `${Math.floor(seconds / 3600)}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
}

function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function tick() {
  if (lost) return;
  const at = now();
  for (const node of document.querySelectorAll("[data-offset]")) write(node, clock(at, Number(node.dataset.offset)));
  for (const node of document.querySelectorAll("[data-until]")) {
    const left = Date.parse(node.dataset.until) - at;
    write(node, (left < 0 ? "+" : "") + duration(left));
  }
  for (const node of document.querySelectorAll("[data-since]")) write(node, duration(at - Date.parse(node.dataset.since)));
  for (const node of document.querySelectorAll("[data-shown]")) write(node, clock(base.at, 0));
}

// --- the content ----------------------------------------------------------------------------------------------------

let wanted = null;
let busy = false;
let fetched = performance.now();

async function refresh() {
  if (busy) return;
  busy = true;
  try {
    const answer = await fetch(location.href, {
      headers: { "X-Live": "1" },
      signal: AbortSignal.timeout(FETCH_WITHIN_MS),
    });
    document.getElementById("signed-out").hidden = answer.status !== 401;
    body.classList.toggle("signed-out", answer.status === 401);
    if (answer.ok) {
      show(await answer.text());
      fetched = performance.now();
    }
  } catch {
    // the worker tells when the console is gone
  } finally {
    busy = false;
  }
}

function show(text) {
  const fresh = new DOMParser().parseFromString(policy.createHTML(text), "text/html").getElementById("live");
  if (fresh === null) return;
  Idiomorph.morph(live(), fresh, {
    morphStyle: "outerHTML",
    ignoreActiveValue: true,
    callbacks: {
      // what the reader has opened stays open
      beforeAttributeUpdated: (name, node) => !(name === "open" && node instanceof HTMLDetailsElement),
    },
  });
  document.title = live().dataset.title;
  tick();
}

// --- the news -------------------------------------------------------------------------------------------------------

function heard(news) {
  base = { at: news.at, rate: news.rate, heard: performance.now() };
  if (lost) {
    lost = false;
    body.classList.remove("lost");
    document.getElementById("lost").hidden = true;
  }
  if (news.build !== body.dataset.build) document.getElementById("old-page").hidden = false;
  wanted = news.links[live().dataset.link]?.version ?? null;
  if (wanted !== live().dataset.version || performance.now() - fetched >= AT_LEAST_EVERY_MS) refresh();
}

function quiet(ms) {
  const banner = document.getElementById("lost");
  if (!lost) {
    lost = true;
    body.classList.add("lost");
    banner.hidden = false;
    write(banner.querySelector("[data-last]"), clock(base.at, 0));
    // why: the console is gone, or only this session
    refresh();
  }
  write(banner.querySelector("[data-age]"), duration(ms));
}

if (window.SharedWorker) {
  const worker = new SharedWorker(policy.createScriptURL(body.dataset.worker), { name: `console-${body.dataset.build}` });
  worker.port.onmessage = ({ data }) => (data.news ? heard(data.news) : quiet(data.quiet));
  window.addEventListener("pagehide", () => worker.port.postMessage({ leaving: true }));
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) location.reload();
  });
  setInterval(tick, 250);
} else {
  setTimeout(() => location.reload(), 10000);
}
