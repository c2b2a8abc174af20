// Playwright, connected to a runtime: its pages, dialogs, downloads and contexts
// are its own. The key is the address to connect to.
import { chromium } from "playwright-core";
import { main } from "./compat.mjs";

await main(async (site, address) => {
  const browser = await chromium.connectOverCDP(address);
  const shared = browser.contexts()[0];
  const own = await browser.newContext({
    userAgent: "Mine/1", viewport: { width: 400, height: 600 }, extraHTTPHeaders: { "X-Mine": "1" }, permissions: ["geolocation"],
  });
  const drive = async (page) => {
    const seen = [];
    await page.goto(site);
    await page.fill("#name", "Ada");
    await page.click("#greet");
    seen.push(await page.textContent("#out"));
    for (const yes of [false, true]) {
      page.once("dialog", (dialog) => (yes ? dialog.accept() : dialog.dismiss()));
      await page.click("#ask");
      seen.push(await page.textContent("#out"));
    }
    const [popup] = await Promise.all([page.waitForEvent("popup"), page.click("#open")]);
    await popup.waitForLoadState();
    seen.push(await popup.title());
    const [download] = await Promise.all([page.waitForEvent("download"), page.click("#report")]);
    seen.push(download.suggestedFilename(), await download.failure());
    const took = () => page.waitForFunction(() => took.textContent).then((text) => text.jsonValue());
    const file = (name) => ({ name, mimeType: "text/plain", buffer: Buffer.from("of " + name) });
    await page.setInputFiles("#file", [file("a.txt"), file("b.txt")]); // the bytes are sent to the page
    seen.push(await took());
    await page.evaluate(() => { took.textContent = ""; });
    const [chooser] = await Promise.all([page.waitForEvent("filechooser"), page.click("#file")]);
    await chooser.setFiles(file("c.txt"));
    seen.push(await took());
    for (const fullPage of [false, true]) {
      seen.push((await page.screenshot({ fullPage })).subarray(1, 4).toString());
    }
    await popup.close();
    return seen;
  };
  const out = { shared: await drive(await shared.newPage()) };
  const page = await own.newPage();
  out.own = await drive(page);
  out.set = await page.evaluate(async () => [
    navigator.userAgent, innerWidth, (await navigator.permissions.query({ name: "geolocation" })).state,
  ]);
  await page.route("**/routed", (route) => route.fulfill({ body: "mine" }));
  await page.route("**/other", async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, body: (await response.text()).replace("office", "changed") });
  });
  await page.route("**/gone", (route) => route.abort());
  out.intercepted = await page.evaluate(async () => [
    await fetch("/routed").then((r) => r.text()), (await fetch("/other").then((r) => r.text())).slice(7, 14),
    await fetch("/gone").then(() => "there", () => "gone"),
  ]);
  const login = await browser.newContext({ httpCredentials: { username: "ada", password: "lovelace" } });
  out.intercepted.push((await (await login.newPage()).goto(site + "/basic")).status());
  await login.close();
  await own.close();
  await browser.close(); // of the connection, where Playwright has not started it
  return out;
});
