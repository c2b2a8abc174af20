// The SDK of OpenAI, at OpenAI, at a server of one's own and at Google.
import OpenAI from "openai";
import { main } from "./compat.mjs";

await main(async (base, key) => {
  const client = new OpenAI({ apiKey: key, baseURL: base });
  const messages = [{ role: "user", content: "Hi" }];
  const chat = async (model) => (await client.chat.completions.create({ model, messages })).choices[0].message.content;
  let stream = "";
  for await (const word of await client.chat.completions.create({ model: "plain", messages, stream: true })) {
    stream += word.choices[0].delta.content;
  }
  const models = [];
  for await (const model of client.models.list()) {
    models.push(model.id);
  }
  let refused = "";
  try {
    await chat("unknown");
  } catch (e) {
    refused = e.code;
  }
  let redirected = false;
  try {
    await chat("elsewhere");
  } catch (e) {
    redirected = e instanceof OpenAI.APIError;
  }
  const embedded = await client.embeddings.create({ model: "plain", input: "Hi", encoding_format: "float" });
  return { chat: await chat("plain"), limited: await chat("limited"), stream, models, embedding: embedded.data[0].embedding, refused, redirected };
});
