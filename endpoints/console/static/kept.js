// Keeps what was typed into the forms of acts, in this window alone: a reload or the way back loses nothing. Never a
// credential, nothing in a field with data-unkept, and nothing of another officer.

const officer = document.body.dataset.officer ?? "";
const PREFIX = "act ";
const key = (form) => `${PREFIX}${officer} ${document.getElementById("live").dataset.link} ${form.id}`;
const fields = (form) => [...form.elements].filter((each) => each.name && each.type !== "hidden" && !("unkept" in each.dataset));

export function keep(form, attempt) {
  const values = fields(form)
    .filter((each) => !["radio", "checkbox"].includes(each.type) || each.checked)
    .map((each) => [each.name, each.value]);
  try {
    sessionStorage.setItem(key(form), JSON.stringify({ values, ...attempt }));
  } catch {
    // a browser without room or leave to keep it
  }
}

export function forget(form) {
  sessionStorage.removeItem(key(form));
}

// returns what was kept with the form, after its fields have their texts again; null if nothing was
export function restore(form) {
  const found = sessionStorage.getItem(key(form));
  if (found === null) return null;
  const { values, ...attempt } = JSON.parse(found);
  for (const field of fields(form)) {
    const place = values.findIndex(([name, value]) => name === field.name && (!["radio", "checkbox"].includes(field.type) || value === field.value));
    if (["radio", "checkbox"].includes(field.type)) field.checked = place >= 0;
    else if (place >= 0) field.value = values.splice(place, 1)[0][1];
  }
  return attempt;
}

export function forgetAll(but = "") {
  for (const each of Object.keys(sessionStorage)) {
    if (each.startsWith(PREFIX) && !(but && each.startsWith(but))) sessionStorage.removeItem(each);
  }
}

// what another officer has typed, or one who has logged out, is nobody's any more
forgetAll(`${PREFIX}${officer} `);
document.querySelector('form[action="/log-out"]')?.addEventListener("submit", () => forgetAll());
