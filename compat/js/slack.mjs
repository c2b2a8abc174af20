// The SDK of Slack: forms and JSON, paging by cursor.
import { WebClient } from "@slack/web-api";
import { main } from "./compat.mjs";

await main(async (base, key) => {
  const client = new WebClient(key, { slackApiUrl: base + "/api/", retryConfig: { retries: 0 } });
  const posted = await client.chat.postMessage({ channel: "C1", text: "so & so" });
  const channels = [];
  for await (const page of client.paginate("conversations.list", { limit: 1 })) {
    channels.push(...page.channels.map((c) => c.name));
  }
  let missing = "";
  try {
    await client.conversations.info({ channel: "C404" });
  } catch (e) {
    missing = e.data.error;
  }
  return { posted: posted.message.text, channels, missing };
});
