// Compiles every contract here to an artifact beside its source (ABI and creation bytecode), which is
// committed: building the Rust side needs neither node nor a compiler. The same source always gives the
// same bytes: compiler and library are pinned, the settings are fixed here, and the metadata hash, which
// would tie the bytecode to comments and paths, is left out.
//
//   npm run build    writes the artifacts
//   npm run check    fails when a committed artifact is not what its source compiles to

import { existsSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import solc from "solc";

const here = fileURLToPath(new URL(".", import.meta.url));
// What the dev chain's traffic and the tests deploy; one contract of the file's name is in each.
const sources = [".", "tokens", "calls"].flatMap((folder) =>
  readdirSync(join(here, folder))
    .filter((file) => file.endsWith(".sol"))
    .sort()
    .map((file) => join(folder, file)),
);

// "selfdestruct" has been deprecated: Farewell is about nothing else.
const EXPECTED_WARNINGS = ["5159"];

const input = {
  language: "Solidity",
  sources: Object.fromEntries(
    sources.map((source) => [source, { content: readFileSync(join(here, source), "utf8") }]),
  ),
  settings: {
    // Paris: the bytecode also runs on private networks that have not activated Shanghai (no PUSH0).
    evmVersion: "paris",
    optimizer: { enabled: true, runs: 200 },
    metadata: { bytecodeHash: "none", appendCBOR: false },
    outputSelection: Object.fromEntries(
      sources.map((source) => [source, { [basename(source, ".sol")]: ["abi", "evm.bytecode.object"] }]),
    ),
  },
};

function library(path) {
  const file = join(here, "node_modules", path);
  return existsSync(file) ? { contents: readFileSync(file, "utf8") } : { error: `no ${path}` };
}

const output = JSON.parse(solc.compile(JSON.stringify(input), { import: library }));
const problems = (output.errors ?? []).filter(({ errorCode }) => !EXPECTED_WARNINGS.includes(errorCode));
for (const problem of problems) {
  process.stderr.write(problem.formattedMessage);
}
// Warnings fail too: contracts this small have no reason to have any others.
if (problems.length) process.exit(1);

let stale = 0;
for (const source of sources) {
  const contractName = basename(source, ".sol");
  const { abi, evm } = output.contracts[source][contractName];
  const text = `${JSON.stringify({ contractName, abi, bytecode: `0x${evm.bytecode.object}` }, null, 1)}\n`;
  const artifact = join(here, source.replace(/\.sol$/, ".json"));
  if (!process.argv.includes("--check")) {
    writeFileSync(artifact, text);
  } else if (!existsSync(artifact) || readFileSync(artifact, "utf8") !== text) {
    process.stderr.write(`${artifact} is not what ${source} compiles to; run: npm run build\n`);
    stale += 1;
  }
}
process.exit(stale ? 1 : 0);
