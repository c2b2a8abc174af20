// The client of runtimes.go. It does the four steps of one browser in turns, by a
// runtime of each server and by a Chromium that it launches itself, and prints how long each
// step took, in milliseconds: a line of JSON for each round, after one round that
// does not count.
import { createRequire } from "node:module";

const { chromium } = createRequire(process.env.BENCH_MODULES)("playwright-core");
const { site, rounds, program, servers } = JSON.parse(process.env.BENCH_PLAN);

const clock = () => performance.now();

// timed runs the steps one after the other; each is handed what the one before returned.
async function timed(steps) {
  const took = {};
  let made;
  for (const [name, step] of Object.entries(steps)) {
    const began = clock();
    made = await step(made);
    took[name] = clock() - began;
  }
  return took;
}

async function ask(server, method, path, body) {
  const answer = await fetch(`${server.url}/v1/workspaces/${server.workspace}/runtimes${path}`, {
    method,
    headers: { Authorization: `Bearer ${server.key}`, "Content-Type": "application/json" },
    body: body && JSON.stringify(body),
  });
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
  return answer.json();
}

async function open(browser) {
  const context = browser.contexts()[0];
  const page = context.pages()[0] ?? (await context.newPage());
  await page.goto(site);
  if ((await page.title()) !== "bench") throw new Error("another page");
  return browser;
}

const ours = (server, alias) => ({
  create: () => ask(server, "POST", "", { alias, kind: "browser", driver: "playwright", launch: { mode: "ephemeral" } }),
  connect: async () => chromium.connectOverCDP((await ask(server, "GET", `/${alias}/connect`)).url),
  goto: open,
  release: async (browser) => {
    await ask(server, "POST", `/${alias}/stop`);
    return browser;
  },
});

// Playwright's own is connected once it is launched, and has no tab yet.
const theirs = () => ({
  create: () => chromium.launch({ executablePath: program }),
  connect: async (browser) => {
    await browser.newContext();
    return browser;
  },
  goto: open,
  release: (browser) => browser.close(),
});

for (let round = 0; round <= rounds; round++) {
  const line = {};
  for (const [name, server] of Object.entries(servers)) {
    line[name] = await timed(ours(server, `bench-${round}`));
  }
  line["playwright-core"] = await timed(theirs());
  if (round > 0) console.log(JSON.stringify(line));
}
