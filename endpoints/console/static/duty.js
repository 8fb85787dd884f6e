// Helps an officer to read a line test back, and to hear the sounds before they take the watch.

const LATIN = /\p{Script=Latin}/u;
const CYRILLIC = /\p{Script=Cyrillic}/u;
const OTHER = { cyrillic: LATIN, latin: CYRILLIC };

// --- reading back: as endpoints/texts/read_back.py compares, which has the last word --------------------------------

const plain = (text) =>
  text.normalize("NFC").replace(/\p{Cf}/gu, "").split(/[\s,;.«»"']+/u).filter(Boolean).join(" ").toLowerCase().replaceAll("ё", "е");

// what the same keys yield on the other layout; it is shown, never put into the field
function onOtherLayout(text, { layout, latin, cyrillic }) {
  const [from, to] = layout === "cyrillic" ? [latin, cyrillic] : [cyrillic, latin];
  return [...text.toLowerCase()].map((letter) => [...to][[...from].indexOf(letter)] ?? letter).join("");
}

function readBack(field, left) {
  const said = field.closest(".read-back").dataset;
  const hint = field.closest("p").querySelector(".hint");
  const same = plain(field.value) === field.dataset.plain;
  const wrongLayout = OTHER[said.layout]?.test(field.value);
  let why = "";
  if (wrongLayout) {
    const other = onOtherLayout(field.value.trim(), said).slice(0, 40);
    why = said.wrongLayout.replace("{typed}", () => field.value.trim().slice(0, 40)).replace("{other}", () => other);
  } else if (!same) why = said.differs;
  field.setCustomValidity(why);
  hint.dataset.is = field.value === "" ? "" : same ? "same" : wrongLayout || left ? "wrong" : "";
  hint.textContent = { same: `✓ ${said.same}`, wrong: why }[hint.dataset.is] ?? "";
}

for (const event of ["input", "change"]) {
  document.addEventListener(event, ({ target }) => {
    if (target.matches?.("[data-plain]")) readBack(target, event === "change");
  });
}

// --- hearing --------------------------------------------------------------------------------------------------------

const heard = new Set();

function hearing(fields) {
  const here = fields.querySelector("[value=heard]");
  const buttons = [...fields.querySelectorAll("[data-sound]")];
  for (const button of buttons) button.classList.toggle("played", heard.has(button.dataset.sound));
  const all = buttons.every((button) => heard.has(button.dataset.sound));
  const sounds = document.body.dataset.armed === "yes";
  here.setCustomValidity(!here.checked ? "" : !sounds ? fields.dataset.silent : all ? "" : fields.dataset.first);
}

document.addEventListener("click", ({ target }) => {
  const button = target.closest(".hearing [data-sound]");
  if (button === null) return;
  heard.add(button.dataset.sound);
  // what was begun stays as it is while the page around it changes
  button.dispatchEvent(new Event("input", { bubbles: true }));
  hearing(button.closest(".hearing"));
});
for (const event of ["input", "change"]) {
  document.addEventListener(event, ({ target }) => {
    const fields = target.closest?.("form")?.querySelector(".hearing");
    if (!fields) return;
    // who names a listener says that somebody else listens
    if (target.name === "listens" && target.value) fields.querySelector("[value=elsewhere]").checked = true;
    hearing(fields);
  });
}
// whether this browser sounds may be known only after the click
new MutationObserver(() => document.querySelectorAll(".hearing").forEach(hearing)).observe(document.body, {
  attributeFilter: ["data-armed"],
});
