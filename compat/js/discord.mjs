// The REST client of discord.js, which sends its key as Authorization: Bot ….
import { REST } from "@discordjs/rest";
import { main } from "./compat.mjs";

await main(async (base, key) => {
  const rest = new REST({ version: "10", api: base + "/api", retries: 0 }).setToken(key);
  const me = await rest.get("/users/@me");
  const posted = await rest.post("/channels/1/messages", { body: { content: "so & so" } });
  const file = await rest.post("/channels/1/messages", { body: { content: "with a file" }, files: [{ name: "a.txt", data: Buffer.from("a file") }] });
  let missing = 0;
  try {
    await rest.get("/channels/404/messages");
  } catch (e) {
    missing = e.status;
  }
  return { me: me.username, posted: posted.content, file: file.attachments[0].size, missing };
});
