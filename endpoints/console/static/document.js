// What a form says, as the JSON document of its act: see act.js for the names of fields.

export const named = (field) => field.name || field.dataset.name || "";
export const checkable = (field) => ["radio", "checkbox"].includes(field.type);

// half of a character is none: JSON cannot carry it
const whole = (text) => text.toWellFormed?.() ?? text;

function put(document_, name, value) {
  const parts = name.split(".");
  const last = parts.pop();
  const into = parts.reduce((at, part) => (at[part] ??= {}), document_);
  if (last.endsWith("[]")) (into[last.slice(0, -2)] ??= []).push(value);
  else into[last] = value;
}

export function documentOf(form) {
  const found = {};
  for (const field of form.elements) {
    const name = named(field);
    if (name && field.value !== "" && (!checkable(field) || field.checked)) put(found, name, whole(field.value));
  }
  return form.dataset.seen ? { ...found, seen: form.dataset.seen } : found;
}
