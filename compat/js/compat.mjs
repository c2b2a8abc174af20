// What the programs beside this file share: they read where to go from standard
// input and print what came of it as JSON. Nothing holds a key but that input.
import { readFileSync } from "node:fs";

export async function main(program) {
  const { base, key, direct } = JSON.parse(readFileSync(0, "utf8"));
  process.stdout.write(JSON.stringify(await program(base, key, direct)));
}
