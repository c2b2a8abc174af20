// The SDK of Anthropic.
import Anthropic from "@anthropic-ai/sdk";
import { main } from "./compat.mjs";

await main(async (base, key) => {
  const client = new Anthropic({ apiKey: key, baseURL: base });
  const messages = [{ role: "user", content: "Hi" }];
  const ask = async (model) => (await client.messages.create({ model, max_tokens: 64, messages })).content[0].text;
  const stream = await client.messages.stream({ model: "plain", max_tokens: 64, messages }).finalText();
  const models = [];
  for await (const model of client.models.list()) {
    models.push(model.id);
  }
  let refused = "";
  try {
    await ask("unknown");
  } catch (e) {
    refused = e.error.error.type;
  }
  return { message: await ask("plain"), limited: await ask("limited"), stream, models, refused };
});
