// The form of an alert: its counters, the words of its button, and what the other side will see. act.js sends it.

import { documentOf } from "./document.js";

const AFTER_MS = 300; // between two letters
const WITHIN_MS = 5000;
const UNSENT = "unsent-form"; // a preview is no act; its document has no credential

const form = () => document.querySelector('form[data-act="alert"]');
const live = () => document.getElementById("live");
const touched = new Set(); // the fields that somebody has left once: before, what is missing in them is no mistake
let shownIn = "";
let asked = 0;
let timer = null;

// --- counters, and the words of the button --------------------------------------------------------------------------

function filled(words, values) {
  return words.replace(/{(\w+)}/g, (_, name) => values[name]);
}

function count(of) {
  for (const field of of.querySelectorAll("textarea[data-most]")) {
    const note = of.querySelector(`[data-count-of="${field.id}"]`);
    const most = Number(field.dataset.most);
    // characters as the protocol counts them, not their halves
    const length = [...field.value.normalize("NFC")].length;
    const over = length - most;
    note.textContent = filled(over > 0 ? note.dataset.over : note.dataset.words, { count: length, over });
    note.classList.toggle("over", over > 0);
    field.setCustomValidity(over > 0 ? note.textContent : "");
  }
}

function word(of) {
  const { send, hold } = of.querySelector('[name="status"]:checked').dataset;
  const held = of.querySelector('[name="precedence"]:checked')?.dataset.held === "yes";
  const button = of.querySelector(".buttons button");
  const before = button.dataset.word ?? button.textContent;
  button.dataset.word = held ? hold : send;
  // act.js writes other words there while an answer is missing
  if (button.textContent === before) button.textContent = button.dataset.word;
}

// --- what is wrong with a field -------------------------------------------------------------------------------------

function place(of, name) {
  const field = [...of.elements].find((each) => each.name === name);
  return field && ["radio", "checkbox"].includes(field.type) ? [field, field.closest("fieldset")] : [field, null];
}

function tell(of, problems) {
  for (const note of of.querySelectorAll(".wrong[data-preview]")) note.remove();
  for (const field of of.querySelectorAll("[data-invalid]")) {
    delete field.dataset.invalid;
    field.removeAttribute("aria-invalid");
  }
  for (const { field: name, why } of problems) {
    const [field, group] = place(of, name);
    if (!field || !touched.has(name) || field === document.activeElement) continue;
    const note = document.createElement("span");
    note.className = "wrong";
    note.dataset.preview = "";
    note.id = `${of.id}-wrong-${name.replace(/\W/g, "-")}`;
    // what the last attempt said of this field is of then
    of.querySelector(`#${CSS.escape(note.id)}`)?.remove();
    note.textContent = why;
    field.dataset.invalid = "";
    field.setAttribute("aria-invalid", "true");
    field.setAttribute("aria-errormessage", note.id);
    if (group) group.append(note);
    else field.closest(".field").append(note);
  }
}

// --- what the other side will see -----------------------------------------------------------------------------------

// the answer arrives as a document, so that no script here turns text into HTML
function preview(content) {
  return new Promise((resolve) => {
    const request = new XMLHttpRequest();
    request.open("POST", `/links/${encodeURIComponent(live().dataset.link)}/acts/preview?language=${shownIn}`);
    request.setRequestHeader("Content-Type", "application/json");
    request.responseType = "document";
    request.timeout = WITHIN_MS;
    // without an answer, the page says by itself that the console is gone
    request.onloadend = () => resolve(request.status === 200 ? request.response : null);
    request.send(JSON.stringify(content));
  });
}

async function show() {
  const of = form();
  if (!of) return;
  const number = ++asked;
  const answer = await preview({ ...documentOf(of), request: UNSENT });
  if (answer === null || number !== asked || form() !== of) return;
  of.querySelector(".preview").replaceChildren(...answer.querySelector(".preview").children);
  tell(of, [...answer.querySelectorAll("[data-field]")].map((each) => ({ field: each.dataset.field, why: each.textContent })));
}

function soon() {
  clearTimeout(timer);
  timer = setTimeout(show, AFTER_MS);
}

function refresh() {
  const of = form();
  if (!of) return;
  count(of);
  word(of);
  for (const button of of.querySelectorAll("[data-shown-in]")) {
    if (shownIn === "" && button.getAttribute("aria-pressed") === "true") shownIn = button.dataset.shownIn;
    button.setAttribute("aria-pressed", String(button.dataset.shownIn === shownIn));
  }
  soon();
}

// --- events ---------------------------------------------------------------------------------------------------------

const mine = (node) => node.closest?.('form[data-act="alert"]');

document.addEventListener("act:changed", ({ target }) => mine(target) && refresh());
document.addEventListener("focusout", ({ target }) => {
  if (!mine(target) || !target.name) return;
  touched.add(target.name);
  soon();
});
document.addEventListener("click", ({ target }) => {
  const button = target.closest?.("[data-shown-in]");
  if (!button) return;
  shownIn = button.dataset.shownIn;
  refresh();
});
document.addEventListener("submit", ({ target }) => {
  if (mine(target)) for (const field of target.elements) if (field.name) touched.add(field.name);
});
document.addEventListener("act:said", ({ target, detail }) => {
  if (!mine(target)) return;
  touched.clear();
  // a form that was filled from a message is empty from now on
  history.replaceState(null, "", location.pathname);
  const link = document.createElement("a");
  const screen = detail.reference.startsWith("draft/") ? "drafts" : "messages";
  link.href = `/links/${encodeURIComponent(live().dataset.link)}/${screen}/${detail.reference}`;
  link.textContent = detail.reference;
  document.querySelector("#said .text").append(" ", link);
  refresh();
});
document.addEventListener("console:shown", refresh);
refresh();
