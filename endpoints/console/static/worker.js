// The shared worker: one stream of news for every page of this browser, the timer that notices when it stops, and who
// sounds. Timers of a hidden page are slowed down; those of a worker are not.

const AGAIN_MS = 1000; // between two attempts to open the stream
const DEAD_MS = 5000; // a stream without an event for this long is opened anew
const LOST_MS = 3000; // without an event for this long, every page says that it is old
const SILENCE_MS = 30000;
const EVERY_MS = { 1: 3000, 2: 3000, 4: 10000 }; // how often a sound is repeated
const TOLD_MS = 10000; // how often the console is told how many pages there are, and whether they can sound
const PLAYED_MS = 1500; // a page that has not answered by then is gone

const pages = new Map(); // port -> whether it can sound
let source = null;
let opened = -Infinity;
let heard = performance.now();
let calls = [];
let chimed = new Set();
let silenced = { until: 0, abouts: new Set() };
let sounded = { 1: -Infinity, 2: -Infinity, 4: -Infinity };
let told = { at: -Infinity, text: "" };
let waits = null;

const tell = (message) => {
  for (const page of pages.keys()) page.postMessage(message);
};

function open() {
  opened = performance.now();
  source?.close();
  source = new EventSource("/stream");
  source.onmessage = (event) => {
    heard = performance.now();
    const news = JSON.parse(event.data);
    calls = Object.values(news.links).flatMap((link) => link.calls);
    tell({ news });
    sound();
  };
}

// --- sounds: the loudest call, at one page, until somebody acts ----------------------------------------------------

function play(number) {
  const page = [...pages].reverse().find(([, armed]) => armed)?.[0];
  if (page === undefined) return;
  page.postMessage({ play: number });
  waits ??= setTimeout(() => {
    waits = null;
    leave(page);
    play(number);
  }, PLAYED_MS);
}

function sound() {
  const now = performance.now();
  const lost = now - heard >= LOST_MS;
  // a new call breaks the silence of the others
  const fresh = calls.filter((call) => now >= silenced.until || !silenced.abouts.has(call.about));
  const wanted = lost ? (now < silenced.until ? [] : [4]) : [...new Set(fresh.map((call) => call.sound))].sort();
  const due = wanted.find((number) => number !== 3 && now - sounded[number] >= EVERY_MS[number]);
  if (due !== undefined) {
    sounded[due] = now;
    play(due);
  }
  const chimes = fresh.filter((call) => call.sound === 3).map((call) => `${call.about} ${call.half}`);
  if (!lost && chimes.some((chime) => !chimed.has(chime))) play(3);
  if (!lost) chimed = new Set(chimes);
  tell({ armed: [...pages.values()].some(Boolean), calling: wanted.some((number) => number !== 3) });
  report(now);
}

function report(now) {
  const text = new URLSearchParams({ pages: pages.size, armed: [...pages.values()].filter(Boolean).length });
  if (String(text) === told.text && now - told.at < TOLD_MS) return;
  told = { at: now, text: String(text) };
  fetch("/sounding", { method: "POST", body: text }).catch(() => {});
}

// --- pages ----------------------------------------------------------------------------------------------------------

function leave(page) {
  pages.delete(page);
}

self.onconnect = (event) => {
  const page = event.ports[0];
  pages.set(page, false);
  page.onmessage = ({ data }) => {
    if (data.leaving) leave(page);
    if ("armed" in data) pages.set(page, data.armed);
    if (data.silence) silenced = { until: performance.now() + SILENCE_MS, abouts: new Set(calls.map((call) => call.about)) };
    if (data.played) waits = clearTimeout(waits) ?? null;
    if (!data.leaving) sound();
  };
  if (source === null) open();
};

// a proxy's error ends an EventSource for good, and a half-open connection says nothing: so a new one each time
setInterval(() => {
  if (source === null) return;
  const quiet = performance.now() - heard;
  const tried = performance.now() - opened;
  if ((source.readyState === EventSource.CLOSED && tried >= AGAIN_MS) || (quiet >= DEAD_MS && tried >= DEAD_MS)) open();
  if (quiet >= LOST_MS) {
    tell({ quiet });
    sound();
  }
}, 250);
