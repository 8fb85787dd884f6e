// Keeps one page up to date: takes the worker's news, fetches the part that changed, runs the clocks on, sounds.

/* global Idiomorph */

import { holds, rowsOfBoth, steadily, waiting } from "./reading.js";

const body = document.body;
const byId = (id) => document.getElementById(id);
const live = () => byId("live");
const FETCH_WITHIN_MS = 5000;
const REPLAY_WITHIN_MS = 30000; // longer than the console takes to put a board at an instant, or to say that it can't
const AT_LEAST_EVERY_MS = 20000;
const LOST_MS = 3000; // content that lags behind the news for this long is old
const ASKED_MS = 300; // how long an old page waits to learn that only its session is over
const CLOCK_OFF_MS = 2000;

// the one policy: it passes the console's own pages and its own worker, nothing else
const rules = {
  createHTML: (text) => text,
  createScriptURL: (address) => {
    if (!address.startsWith("/static/worker.js?")) throw new TypeError("not the console's worker");
    return address;
  },
};
const policy = window.trustedTypes?.createPolicy("console", rules) ?? rules;

async function fetched(address, headers = {}) {
  const within = "still" in live().dataset ? REPLAY_WITHIN_MS : FETCH_WITHIN_MS;
  const answer = await fetch(address, { headers, signal: AbortSignal.timeout(within) });
  const text = answer.ok ? await answer.text() : "";
  return { status: answer.status, page: new DOMParser().parseFromString(policy.createHTML(text), "text/html") };
}

// --- the time: the server's, run on between two beats ---------------------------------------------------------------

let base = { at: Number(live().dataset.at), rate: Number(live().dataset.rate), heard: performance.now() };
let old = false; // nothing here is of now: the console is gone, or the session is over

const two = (number) => String(number).padStart(2, "0");
const clock = (at, offset) => new Date(at + offset * 60000).toISOString().slice(11, 19);

function duration(ms) {
  const seconds = Math.floor(Math.abs(ms) / 1000);
  return `${Math.floor(seconds / 3600)}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
}

function write(selector, text) {
  for (const node of document.querySelectorAll(selector)) {
    const wanted = text(node.dataset);
    if (node.textContent !== wanted) node.textContent = wanted;
  }
}

function tick() {
  // on an old screen, all clocks stand at the last word; in a replay, at its instant
  const { still } = live().dataset;
  const now = old ? base.at : base.at + (performance.now() - base.heard) * base.rate;
  const at = still ? Number(still) : now;
  write("[data-offset]", ({ offset }) => clock(at, Number(offset)));
  write("[data-until]", ({ until }) => (Date.parse(until) < at ? "+" : "") + duration(Date.parse(until) - at));
  write("[data-since]", ({ since }) => duration(at - Date.parse(since)));
  write("[data-shown]", () => clock(still ? at : base.at, 0));
  for (const field of document.querySelectorAll("input[data-now]")) field.value = Math.round(at);
}

// --- the content ----------------------------------------------------------------------------------------------------

let busy = false;
let leaving = false; // asking for the page again and again would end each request before its answer
let moved = false; // the address has changed while the content was being fetched
let refreshed = performance.now();
let again = null;
let postponed = false; // new rows wait until nobody reads or holds one
let behind = null; // since when the content is not what the news say
let gap = null; // since when and which record there was no news
let reached = { upto: Number(live().dataset.upto), at: base.at };

async function refresh() {
  if (busy || leaving || holds()) return;
  busy = true;
  try {
    const { status, page } = await fetched(location.href, { "X-Live": "1" });
    ended(status === 401);
    const fresh = page.getElementById("live");
    if (fresh !== null) show(fresh);
  } catch {
    // the worker tells when the console is gone
  } finally {
    busy = false;
    if (moved) {
      moved = false;
      refresh();
    }
  }
}

// a form that somebody has begun stays as it is, also where the fresh page has none
const element = (node) => node.nodeType === Node.ELEMENT_NODE;
const begun = (node) => element(node) && node.matches("form.dirty, form.touched");
const holdsBegun = (node) => element(node) && (node.matches("form.dirty") || node.querySelector("form.dirty") !== null);
const MORPHED = {
  morphStyle: "outerHTML",
  callbacks: {
    beforeNodeMorphed: (node) => !begun(node),
    beforeNodeRemoved: (node) => !holdsBegun(node),
    // what the reader has opened stays open
    beforeAttributeUpdated: (name, node) => !(name === "open" && node instanceof HTMLDetailsElement),
  },
};

function morph(node, fresh, callbacks = {}) {
  // with it, the children of what has the focus are left as they are: of the whole content, after a click into it
  const ignoreActiveValue = document.activeElement?.matches("input, select, textarea");
  Idiomorph.morph(node, fresh, { ...MORPHED, ignoreActiveValue, callbacks: { ...MORPHED.callbacks, ...callbacks } });
}

function leave() {
  leaving = true;
  location.reload();
}

function show(fresh) {
  // the watch was handed over in this browser, or somebody else logged in in another tab
  if (fresh.dataset.officer !== (body.dataset.officer ?? "")) return leave();
  document.dispatchEvent(new CustomEvent("console:fresh", { detail: fresh }));
  const count = waiting(live(), fresh);
  postpone(count);
  steadily(() => {
    const rows = count === null ? [] : rowsOfBoth(live(), fresh);
    morph(live(), fresh, { beforeNodeMorphed: (node) => !begun(node) && (count === null || node.id !== "main") });
    for (const [row, wanted] of rows) morph(row, wanted);
  });
  document.title = live().dataset.title;
  document.documentElement.toggleAttribute("data-replay", "still" in live().dataset);
  write(".edge > span", () => live().dataset.word);
  document.documentElement.dataset.word = live().dataset.word;
  refreshed = performance.now();
  behind = null;
  clearTimeout(again);
  const soon = live().querySelector("[data-again]")?.dataset.again;
  if (soon) again = setTimeout(refresh, Number(soon) * 1000);
  if (live().dataset.current === "no") gap ??= { ...reached };
  else {
    if (gap !== null && !old) meanwhile();
    reached = { upto: Number(live().dataset.upto), at: Number(live().dataset.at) };
  }
  tick();
  document.dispatchEvent(new CustomEvent("console:shown"));
}

function postpone(count) {
  const note = byId("waiting");
  postponed = count !== null;
  note.hidden = !postponed;
  if (postponed) note.textContent = count > 0 ? note.dataset.new.replace("#", count) : note.dataset.changed;
}

// a replay goes to another instant in its place, so that its sounds stay armed and its focus where it is
function go(address) {
  history.replaceState(null, "", address);
  byId("main").setAttribute("aria-busy", "true");
  moved = busy;
  refresh();
}

for (const kind of ["click", "change", "submit"]) {
  document.addEventListener(kind, (event) => {
    const from = event.target.closest?.(`[data-go~="${kind}"]`);
    if (!from || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    go(from.href ?? `${from.action}?${new URLSearchParams(new FormData(from))}`);
  });
}

async function meanwhile() {
  const { upto, at } = gap;
  gap = null;
  const query = new URLSearchParams({ link: live().dataset.link, after: upto, since: Math.round(at) });
  const { page } = await fetched(`/meanwhile?${query}`);
  byId("meanwhile").replaceChildren(...page.body.children);
}

document.addEventListener("console:refresh", refresh);

// --- the news -------------------------------------------------------------------------------------------------------

function stand(name, on) {
  byId(name).hidden = !on;
  body.classList.toggle(name, on);
  old = ["lost", "signed-out"].some((each) => body.classList.contains(each));
}

function ended(on) {
  stand("signed-out", on);
  if (!on) return;
  stand("lost", false);
  for (const node of document.querySelectorAll(".said")) node.remove();
  tick();
}

// --- this computer's clock: only compared, where the link's time is the time of day ---------------------------------

const COMPARED = 5; // a beat that was long on its way says nothing
let offs = [];

function compare({ at, real }) {
  offs = real ? [...offs, Date.now() - at].slice(-COMPARED) : [];
  const off = Math.min(...offs.map(Math.abs));
  const wrong = offs.length === COMPARED && off > CLOCK_OFF_MS;
  byId("clock-off").hidden = !wrong;
  if (wrong) write("#clock-off [data-off]", () => duration(off));
}

function heard(news) {
  compare(news);
  base = { at: news.at, rate: news.rate, heard: performance.now() };
  const stalled = behind !== null && performance.now() - behind >= LOST_MS;
  if (stalled || old) {
    stand("lost", stalled);
    refresh();
  }
  if (news.build !== body.dataset.build) stand("old-page", true);
  const wanted = news.links[live().dataset.link]?.version;
  if (wanted !== live().dataset.version) behind ??= performance.now();
  if (postponed || behind !== null || performance.now() - refreshed >= AT_LEAST_EVERY_MS) refresh();
  if (stalled) age(performance.now() - behind, reached.at);
}

async function quiet(ms) {
  if (!old) {
    gap ??= { ...reached };
    // which of the two: the console is gone, or only this session
    await Promise.race([refresh(), new Promise((done) => setTimeout(done, ASKED_MS))]);
    if (!old) stand("lost", true);
    tick();
  }
  age(ms, base.at);
}

function age(ms, last) {
  write("#lost [data-last]", () => clock(last, 0));
  write("#lost [data-age]", () => duration(ms));
}

// --- sound: nothing sounds before a click ---------------------------------------------------------------------------

const SOUNDS = {
  1: { type: "square", notes: [880, 1175, 1568], each: 0.13, gain: 0.2 },
  2: { type: "sawtooth", notes: [1000, 700, 1000, 700], each: 0.22, gain: 0.2 },
  3: { type: "sine", notes: [1320], each: 0.7, gain: 0.3 },
  4: { type: "triangle", notes: [660, 520], each: 0.4, gain: 0.4 },
};
const audio = new AudioContext();
let worker = null;

function arm() {
  if (audio.state !== "running") audio.resume();
}

function play(number) {
  const { type, notes, each, gain } = SOUNDS[number];
  const volume = new GainNode(audio, { gain: 0 });
  volume.connect(audio.destination);
  notes.forEach((frequency, index) => {
    const start = audio.currentTime + index * each;
    const tone = new OscillatorNode(audio, { type, frequency });
    volume.gain.setValueAtTime(gain, start);
    volume.gain.linearRampToValueAtTime(0, start + each);
    tone.connect(volume);
    tone.start(start);
    tone.stop(start + each);
  });
  body.dataset.played = `${parseInt(body.dataset.played ?? 0) + 1} ${number}`;
}

function take({ news, quiet: ms, play: number, armed, calling }) {
  if (news) heard(news);
  if (ms) quiet(ms);
  if (number) {
    play(number);
    worker.port.postMessage({ played: true });
  }
  if (armed !== undefined) {
    body.dataset.armed = armed ? "yes" : "no";
    body.dataset.calling = calling ? "yes" : "no";
  }
}

// --- keys and buttons -----------------------------------------------------------------------------------------------

const ACTS = {
  arm,
  silence: () => worker?.port.postMessage({ silence: true }),
  dismiss: () => byId("meanwhile").replaceChildren(),
  help: () => byId("help").showModal(),
  take: refresh,
};

document.addEventListener("click", ({ target }) => {
  const { do: act, sound } = target.closest("[data-do], [data-sound]")?.dataset ?? {};
  arm();
  if (act) ACTS[act]?.();
  if (sound) play(sound);
});

function step(selector, by) {
  const all = [...byId("main").querySelectorAll(selector)];
  if (all.length === 0) return;
  const at = all.indexOf(document.activeElement);
  const next = all[at < 0 && by < 0 ? all.length - 1 : (at + by + all.length) % all.length];
  if (!next.matches("a, button, input, select, textarea, summary")) next.tabIndex = -1;
  next.focus();
}

const KEYS = {
  j: () => step("a[href], button, summary", 1),
  k: () => step("a[href], button, summary", -1),
  n: () => step("[data-needs]", 1),
  s: ACTS.silence,
  "/": () => byId("main").querySelector("input:not([type=hidden]), select")?.focus(),
  "?": ACTS.help,
};

document.addEventListener("keydown", (event) => {
  const writes = event.target.matches?.("input:not([type=range]), select, textarea");
  if (event.key === "Escape" && writes) event.target.blur();
  if (writes || event.ctrlKey || event.altKey || event.metaKey || body.dataset.keys === "off" || byId("help").open) return;
  const link = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
  if (link) link.click();
  else if (event.key === "Escape" && history.length > 1) history.back();
  else if (Object.hasOwn(KEYS, event.key)) KEYS[event.key]();
  else return;
  event.preventDefault();
});

// --- start ----------------------------------------------------------------------------------------------------------

if (live().dataset.current === "no") gap = { ...reached };
if (window.SharedWorker) {
  worker = new SharedWorker(policy.createScriptURL(body.dataset.worker), { name: `console-${body.dataset.build}` });
  worker.port.onmessage = ({ data }) => take(data);
  audio.onstatechange = () => worker.port.postMessage({ armed: audio.state === "running" });
  audio.onstatechange();
  window.addEventListener("pagehide", () => worker.port.postMessage({ leaving: true }));
  window.addEventListener("pageshow", (event) => event.persisted && location.reload());
  setInterval(tick, 250);
} else {
  setTimeout(() => location.reload(), 10000);
}
