// The form that releases a draft: what was not ticked or retyped keeps it from being sent. The console checks it again.

function check() {
  for (const field of document.querySelectorAll('form[data-act="release"] [data-missing]')) {
    const words = field.dataset.words?.split(" ");
    const right = words ? words.includes(field.value.trim().toUpperCase()) : field.checked;
    field.setCustomValidity(right ? "" : field.dataset.missing);
  }
}

for (const event of ["act:changed", "act:said", "console:shown"]) document.addEventListener(event, check);
check();
