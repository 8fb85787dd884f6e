// Keeps what is under the pointer where it is: while somebody reads or holds a row, new rows wait and are counted.

const ROWS = "main :is(article, li, tr)[id]";
const READS_MS = 15000; // a pointer or a focus that rests for longer reads nothing
const HELD_MS = 10000; // the longest that a pressed button keeps the content where it is

let row = null; // what is being read
let at = -Infinity; // since when nobody has moved there
let held = -Infinity; // since when a button is down
let steadied = false; // the window scrolls by itself

const rowOf = (node) => node?.closest?.(ROWS) ?? null;

function reads(node) {
  row = rowOf(node);
  at = performance.now();
}

// what somebody has done there is to be seen at once
function done() {
  row = null;
}

document.addEventListener("pointermove", ({ target }) => reads(target));
// a pressed button focuses something too
document.addEventListener("focusin", ({ target }) => pressed() || reads(target));
document.addEventListener("keydown", () => (at = performance.now()));
document.addEventListener("scroll", () => (at = steadied ? at : performance.now()), { passive: true });
document.addEventListener("scrollend", () => (steadied = false));
document.addEventListener("pointerdown", ({ target }) => {
  reads(target);
  held = performance.now();
});
for (const end of ["pointerup", "pointercancel"]) document.addEventListener(end, () => (held = -Infinity));
for (const act of ["click", "submit", "act:said"]) document.addEventListener(act, done);
document.documentElement.addEventListener("pointerleave", done);

const pressed = () => performance.now() - held < HELD_MS;

function reading() {
  if (row !== null && !row.isConnected) row = null;
  return row !== null && (pressed() || performance.now() - at < READS_MS);
}

// whether a button is down outside of any row: then nothing at all may move
export const holds = () => row === null && pressed();

// how many rows `fresh` has that the page has not; null if it may be shown at once
export function waiting(live, fresh) {
  if (!reading()) return null;
  const [shown, wanted] = [live, fresh].map((part) => [...part.querySelectorAll(ROWS)].map(({ id }) => id));
  if (shown.join() === wanted.join()) return null;
  const known = new Set(shown);
  // what waits for an officer stands on top and in its column
  return new Set(wanted.filter((id) => !known.has(id)).map((id) => id.replace(/^[mp]-/, ""))).size;
}

// the rows that the page and `fresh` both have, in pairs: what happens to one is shown in it at once
export function rowsOfBoth(live, fresh) {
  const pairs = [...live.querySelectorAll(ROWS)].map((each) => [each, fresh.querySelector(`#${CSS.escape(each.id)}`)]);
  return pairs.filter(([, wanted]) => wanted !== null);
}

// changes the content, and leaves what is being read at its place in the window
export function steadily(change) {
  const kept = reading() ? row : null;
  const place = () => kept.getBoundingClientRect().top - document.getElementById("main").getBoundingClientRect().top;
  const before = kept && place();
  change();
  if (!kept?.isConnected || place() === before) return;
  steadied = true;
  window.scrollBy(0, place() - before);
}
