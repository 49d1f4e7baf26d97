// Compiles TallyToken.sol to TallyToken.json (ABI and creation bytecode), which is committed: building
// the Rust side needs neither node nor a compiler. The same source always gives the same bytes: the
// compiler is pinned, its settings are fixed here, and the metadata hash, which would tie the bytecode
// to comments and paths, is left out.
//
//   npm run build    writes the artifact
//   npm run check    fails when the committed artifact is not what the source compiles to

import { readFileSync, writeFileSync } from "node:fs";
import solc from "solc";

const CONTRACT = "TallyToken";
const source = new URL(`${CONTRACT}.sol`, import.meta.url);
const artifact = new URL(`${CONTRACT}.json`, import.meta.url);

const input = {
  language: "Solidity",
  sources: { [`${CONTRACT}.sol`]: { content: readFileSync(source, "utf8") } },
  settings: {
    // Paris: the bytecode also runs on private networks that have not activated Shanghai (no PUSH0).
    evmVersion: "paris",
    optimizer: { enabled: true, runs: 200 },
    metadata: { bytecodeHash: "none", appendCBOR: false },
    outputSelection: { "*": { [CONTRACT]: ["abi", "evm.bytecode.object"] } },
  },
};

const output = JSON.parse(solc.compile(JSON.stringify(input)));
for (const problem of output.errors ?? []) {
  process.stderr.write(problem.formattedMessage);
}
// Warnings fail too: a token this small has no reason to have any.
if (output.errors?.length) process.exit(1);

const { abi, evm } = output.contracts[`${CONTRACT}.sol`][CONTRACT];
const text = `${JSON.stringify({ contractName: CONTRACT, abi, bytecode: `0x${evm.bytecode.object}` }, null, 1)}\n`;

if (process.argv.includes("--check")) {
  if (readFileSync(artifact, "utf8") !== text) {
    process.stderr.write(`${CONTRACT}.json is not what ${CONTRACT}.sol compiles to; run: npm run build\n`);
    process.exit(1);
  }
} else {
  writeFileSync(artifact, text);
}
