// Sends what officers do: one JSON document for each act, with the credential, and the id by which asking again is the
// same act. A form that somebody has begun is left as it is when the page around it changes.
//
//   form[data-act]          the act; data-seen is the digest of what the page shows
//   name="text.en"          a field of the document, in `text`; empty fields are left out
//   data-name               as name, for a field that no browser shall fill in
//   name="words[]"          one of a list, in the order of the page
//   data-unkept             is not kept for a reload
//   .credential             the credential, which is emptied after each answer
//   [data-sentence]         what is about to be said; {decision} stands for what is chosen in that field
//   setCustomValidity(...)  keeps the form from being sent; its text stands beside the field
//   act:changed, act:said   events of a form: something was typed; it was carried out (detail: the answer)

import { checkable, documentOf, named } from "./document.js";
import { forget, forgetAll, keep, restore } from "./kept.js";

const WITHIN_MS = 60000; // longer than the console waits for the endpoint
const AGAIN_MS = 2000;
const UNRESOLVED = [0, 401, 403, 429, 500, 503]; // these answers do not say what became of an earlier attempt
const words = document.getElementById("act-words").dataset;
const attempts = new WeakMap(); // form -> { request, document, unknown, asking, reread }
const live = () => document.getElementById("live");
const forms = (within = document) => [...within.querySelectorAll("form[data-act]")];

function attempt(form) {
  if (!attempts.has(form)) attempts.set(form, { unknown: false, asking: false, reread: false });
  return attempts.get(form);
}

// --- what a form says -----------------------------------------------------------------------------------------------

function chosen(form, name) {
  const fields = [...form.elements].filter((each) => named(each) === name);
  const field = checkable(fields[0] ?? {}) ? fields.find((each) => each.checked) : fields[0];
  if (checkable(field ?? {})) return field.closest("label").textContent.trim();
  // what is said if nothing is typed stands in the empty field
  return field?.selectedOptions?.[0].textContent.trim() || field?.value || field?.placeholder || "…";
}

function tell(form) {
  for (const node of form.querySelectorAll("[data-sentence]")) {
    node.textContent = node.dataset.sentence.replace(/{([\w.[\]]+)}/g, (_, name) => chosen(form, name));
  }
}

// --- what can be done now -------------------------------------------------------------------------------------------

function whyNot(form) {
  if (document.body.classList.contains("signed-out")) return words.signedOut;
  if (document.body.classList.contains("lost")) return words.lost;
  if (live().dataset.current === "no") return words.gone;
  return "closed" in form.dataset && !attempt(form).unknown ? words.closed : "";
}

function update(form) {
  const { asking, unknown } = attempt(form);
  const why = whyNot(form);
  const button = form.querySelector(".buttons button");
  const note = form.querySelector(".why-not");
  button.dataset.word ??= button.textContent;
  button.textContent = unknown ? words.again : button.dataset.word;
  button.disabled = asking || why !== "";
  note.textContent = asking ? words.asking : why;
  note.hidden = note.textContent === "";
  // while it is not known whether it was said, nothing of it can change
  for (const field of form.elements) {
    if (!named(field)) continue;
    if (field.matches("textarea, input:not([type=radio]):not([type=checkbox])")) field.readOnly = asking || unknown;
    else field.disabled = asking || unknown;
  }
  tell(form);
}

function begin(form) {
  if (attempts.has(form) && form.dataset.ready) return update(form);
  form.dataset.ready = "yes";
  const kept = restore(form);
  if (kept !== null) {
    Object.assign(attempt(form), kept);
    form.classList.add("dirty");
    form.closest("details")?.setAttribute("open", "");
    problem(form, kept.unknown ? words.unknown : words.restored, { focus: false });
  }
  update(form);
  if (kept !== null) form.dispatchEvent(new CustomEvent("act:changed", { bubbles: true }));
}

// --- errors ---------------------------------------------------------------------------------------------------------

function element(tag, text, className = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  made.className = className;
  return made;
}

function clear(form) {
  form.querySelector(".problem").hidden = true;
  for (const note of form.querySelectorAll(".wrong")) note.remove();
  for (const field of form.querySelectorAll("[aria-invalid]")) {
    field.removeAttribute("aria-invalid");
    field.setAttribute("aria-describedby", field.dataset.described);
  }
}

function problem(form, why, { happened = [], more = "", focus = true } = {}) {
  const box = form.querySelector(".problem");
  box.replaceChildren(element("p", why));
  if (happened.length) {
    const list = document.createElement("ul");
    list.append(...happened.map((each) => element("li", each)));
    box.append(element("p", words.happened), list);
  }
  if (more) box.append(element("p", more));
  box.hidden = false;
  if (focus) box.focus();
}

function fieldOf(form, name) {
  if (name === "credential") return form.querySelector(".credential");
  // one of a list: `words.0`
  const [, list = name, place = 0] = name.match(/^(.+)\.(\d+)$/) ?? [];
  return [...form.elements].filter((each) => [name, `${list}[]`].includes(named(each)))[place];
}

function wrong(form, name, why) {
  const field = fieldOf(form, name);
  if (!field) return;
  const group = checkable(field) ? field.closest("fieldset") : field;
  const note = element("span", why, "wrong");
  note.id = `${form.id}-wrong-${name.replace(/\W/g, "-")}`;
  // the preview may have said it
  document.getElementById(note.id)?.remove();
  field.setAttribute("aria-invalid", "true");
  field.dataset.described ??= field.getAttribute("aria-describedby") ?? "";
  field.setAttribute("aria-describedby", `${note.id} ${field.dataset.described}`.trim());
  if (group === field) field.after(note);
  else group.append(note);
}

// --- asking ---------------------------------------------------------------------------------------------------------

async function ask(form, content) {
  const address = `/links/${encodeURIComponent(live().dataset.link)}/acts/${form.dataset.act}`;
  try {
    const headers = { "Content-Type": "application/json" };
    const answer = await fetch(address, { method: "POST", headers, body: JSON.stringify(content), signal: AbortSignal.timeout(WITHIN_MS) });
    const text = await answer.text();
    // what stands before the application says it in each language, a line each
    const own = answer.headers.get("content-type") === "application/json";
    const line = text.split("\n")[document.documentElement.lang === "ru" ? 1 : 0];
    // a proxy, or a console that ends, does not say what became of the act
    const unknown = answer.ok || answer.status >= 500;
    return { status: answer.status, answer: own ? JSON.parse(text) : { why: line || words.refused, unknown } };
  } catch {
    return { status: 0, answer: { why: words.unknown, unknown: true } };
  }
}

async function submit(form) {
  const state = attempt(form);
  if (state.asking || whyNot(form)) return;
  clear(form);
  // what is asked again was checked, and cannot change
  const invalid = state.unknown ? undefined : [...form.elements].find((each) => each.validity?.customError);
  if (invalid) {
    wrong(form, named(invalid), invalid.validationMessage);
    return problem(form, invalid.validationMessage);
  }
  const field = form.querySelector(".credential");
  const credential = field.value;
  form.classList.add("dirty");
  if (!state.unknown) Object.assign(state, { request: crypto.randomUUID(), document: documentOf(form) });
  state.asking = true;
  update(form);
  keep(form, { request: state.request, document: state.document, unknown: true });
  for (;;) {
    const { status, answer } = await ask(form, { ...state.document, request: state.request, by: document.body.dataset.officer, credential });
    if (status === 200 && answer.said) return done(form, answer);
    state.unknown = Boolean(answer.unknown) || (state.unknown && UNRESOLVED.includes(status));
    if (!(state.unknown && [0, 503].includes(status))) {
      field.value = "";
      return failed(form, status, answer);
    }
    problem(form, words.retrying, { focus: false });
    await new Promise((next) => setTimeout(next, AGAIN_MS));
  }
}

function failed(form, status, { why, field = "", happened = [] }) {
  const state = attempt(form);
  state.asking = false;
  // an act that somebody else was faster with: its form takes over what the page shows then
  state.reread = status === 409;
  keep(form, state.unknown ? { request: state.request, document: state.document, unknown: true } : {});
  if (field) wrong(form, field, why);
  const more = state.unknown ? words.unknown : state.reread && happened.length ? words.reread : "";
  problem(form, why, { happened, more });
  update(form);
  document.dispatchEvent(new CustomEvent("console:refresh"));
}

function done(form, answer) {
  forget(form);
  attempts.delete(form);
  form.reset();
  form.classList.remove("dirty", "touched");
  clear(form);
  update(form);
  form.closest("details")?.removeAttribute("open");
  const said = document.getElementById("said");
  said.querySelector(".text").textContent = answer.said;
  said.hidden = false;
  said.focus();
  form.dispatchEvent(new CustomEvent("act:said", { bubbles: true, detail: answer }));
  document.dispatchEvent(new CustomEvent("console:refresh"));
}

// --- events ---------------------------------------------------------------------------------------------------------

const acting = (node) => node.closest?.("form[data-act]");

document.addEventListener("submit", (event) => {
  if (!acting(event.target)) return;
  event.preventDefault();
  submit(event.target);
});
document.addEventListener("input", ({ target }) => {
  const form = acting(target);
  if (!form) return;
  // a form with nothing but a credential may go with what it was about
  form.classList.add(named(target) ? "dirty" : "touched");
  if (named(target)) keep(form, {});
  tell(form);
  form.dispatchEvent(new CustomEvent("act:changed", { bubbles: true }));
});
document.addEventListener("keydown", (event) => {
  const form = acting(event.target);
  if (form && event.key === "Enter" && event.ctrlKey) {
    event.preventDefault();
    form.querySelector(".credential").focus();
  }
});
document.getElementById("said").querySelector("button").addEventListener("click", () => (document.getElementById("said").hidden = true));

// the page is about to show something else: begun forms stay, and learn whether they are still possible
document.addEventListener("console:fresh", ({ detail: fresh }) => {
  for (const form of forms().filter((each) => each.matches(".dirty, .touched"))) {
    const row = form.closest("article[id]");
    // the row goes, what was typed in it stays
    if (row && form.matches(".dirty") && !fresh.querySelector(`#${CSS.escape(row.id)}`)) {
      document.getElementById("main").prepend(form.closest("details") ?? form);
    }
    const twin = fresh.querySelector(`#${CSS.escape(form.id)}`);
    if (twin) delete form.dataset.closed;
    else form.dataset.closed = "yes";
    const state = attempt(form);
    if (twin && state.reread && twin.dataset.seen !== form.dataset.seen) {
      form.dataset.seen = twin.dataset.seen;
      state.reread = false;
    }
  }
});
document.addEventListener("console:shown", () => forms().forEach(begin));
// an officer who logs in again does so in another window: what was typed here is still here then
document.addEventListener("click", ({ target }) => {
  const link = target.closest?.('a[href="/log-in"]');
  if (link) link.target = document.querySelector("form.dirty") ? "_blank" : "";
});
new MutationObserver(() => {
  if (document.body.classList.contains("signed-out")) forgetAll();
  forms().forEach(update);
}).observe(document.body, { attributeFilter: ["class"] });
document.documentElement.dataset.acts = "yes";
forms().forEach(begin);
