// Stagehand in a runtime: its browser is the runtime's, its model is asked through the
// server with the runtime's token, and its logins are filled by the server.

import { readFileSync } from "node:fs";
import { localBrowser, Stagehand } from "@browserbasehq/stagehand";
import { z } from "zod/v4";
import { address, host } from "./stagehand_host.mjs";

const given = JSON.parse(readFileSync(0, "utf8"));

async function post(url, body) {
  const headers = { authorization: "Bearer " + given.token, "content-type": "application/json" };
  const answer = await fetch(url, { method: "POST", headers, body: JSON.stringify(body) });
  if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
  return answer.json();
}

// generate asks the model through the server, in place of a provider's with a key.
async function generate({ systemPrompt, messages, responseFormat }) {
  const { type, ...json_schema } = responseFormat;
  const { choices } = await post(given.model + "/chat/completions", {
    model: "scripted-1",
    messages: [{ role: "system", content: systemPrompt ?? "" },
      ...messages.map(({ role, content }) => ({ role, content: [content].flat() }))],
    response_format: { type, json_schema },
  });
  const text = choices[0].message.content;
  return { role: "assistant", content: { type: "text", text }, outputFormat: type, structuredContent: JSON.parse(text) };
}

// fill has the server fill a login once the page shows it: the values never come here.
async function fill(fields) {
  const named = Object.entries(fields).map(([field, name]) => [field, { role: "textbox", name }]);
  const step = { call: "page.fill", args: { key: "prod/crm/salesforce", ...Object.fromEntries(named) } };
  for (const deadline = Date.now() + 20_000; ;) {
    const [{ error }] = (await post(given.execute, { runtime: given.runtime, steps: [step] })).steps;
    if (!error) return;
    if (error.code !== "page.no_element" || Date.now() > deadline) throw new Error(error.code);
  }
}

await host();
const browser = await localBrowser.connect({ cdpUrl: address, extensionCdpUrl: given.connect });
const stagehand = await Stagehand.create({ browser, model: { generate }, logging: { level: "off" } });
const [page] = await browser.context.pages();
const act = async (instruction) => {
  for (const deadline = Date.now() + 20_000; ;) { // a page may still be on its way
    const { data } = await stagehand.act(instruction, { page });
    if (data.success) return;
    if (Date.now() > deadline) throw new Error(`${instruction}: ${data.message}`);
  }
};

await page.goto(given.site);
await fill({ username: "Username", password: "Password" });
const { data: [button] } = await stagehand.observe("find the button Log in", { page });
await page.locator(button.selector).click();
await fill({ totp: "Verification code" });
await act("press Verify");
await act("choose Q1 in Quarter");
await act("press Export CSV");
const { data: said } = await stagehand.extract("what the page shows", z.object({ heading: z.string() }), { page });
console.log(JSON.stringify({ success: said.heading === "Pipeline 2026", said }));
process.exit(0);
