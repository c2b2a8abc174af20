// Puppeteer, connected to a runtime: its pages, dialogs and contexts are its own.
// The key is the address to connect to.
import puppeteer from "puppeteer-core";
import { main } from "./compat.mjs";

await main(async (site, address) => {
  const browser = await puppeteer.connect({ browserWSEndpoint: address, defaultViewport: null });
  const drive = async (page) => {
    const seen = [];
    const text = () => page.$eval("#out", (e) => e.textContent);
    await page.goto(site);
    await page.type("#name", "Ada");
    await page.click("#greet");
    seen.push(await text());
    for (const yes of [false, true]) {
      page.once("dialog", (dialog) => (yes ? dialog.accept() : dialog.dismiss()));
      await page.click("#ask");
      seen.push(await text());
    }
    const opened = page.browserContext().waitForTarget((target) => target.opener() === page.target());
    await page.click("#open");
    const popup = await (await opened).page();
    await popup.waitForSelector("#open");
    seen.push(await popup.title());
    await page.click("#report");
    const took = async () => {
      const text = await (await page.waitForFunction(() => took.textContent)).jsonValue();
      await page.evaluate(() => { took.textContent = ""; });
      return text;
    };
    await (await page.$("#file")).uploadFile("/storage/reports/q1.txt"); // of the runtime's storage
    seen.push(await took());
    const [chooser] = await Promise.all([page.waitForFileChooser(), page.click("#file")]);
    await chooser.accept(["/storage/reports/q1.txt"]);
    seen.push(await took());
    seen.push(await (await page.$("#file")).uploadFile("/etc/passwd").then(() => "", (e) => e.message.match(/[a-z]+\.[a-z]+_path/)[0]));
    for (const fullPage of [false, true]) {
      seen.push(Buffer.from(await page.screenshot({ fullPage })).subarray(1, 4).toString());
    }
    await popup.close();
    return seen;
  };
  const page = await browser.newPage();
  await page.setViewport({ width: 375, height: 667, deviceScaleFactor: 2, isMobile: true });
  const out = { shared: await drive(page) };
  const own = await browser.createBrowserContext();
  out.own = await drive(await own.newPage());
  await own.close();
  out.set = await page.evaluate(() => [devicePixelRatio, screen.width]);
  await page.setRequestInterception(true);
  const intercept = (request) => {
    if (request.url().endsWith("/routed")) request.respond({ body: "mine" });
    else if (request.url().endsWith("/gone")) request.abort();
    else request.continue();
  };
  page.on("request", intercept);
  out.intercepted = await page.evaluate(async () => [
    await fetch("/routed").then((r) => r.text()), (await fetch("/other").then((r) => r.text())).slice(7, 13),
    await fetch("/gone").then(() => "there", () => "gone"),
  ]);
  page.off("request", intercept);
  await page.setRequestInterception(false);
  await page.authenticate({ username: "ada", password: "lovelace" });
  out.intercepted.push((await page.goto(site + "/basic")).status());
  const passkeys = await page.createCDPSession();
  await passkeys.send("WebAuthn.enable");
  await passkeys.send("WebAuthn.addVirtualAuthenticator", {
    options: { protocol: "ctap2", transport: "internal", hasResidentKey: true, hasUserVerification: true, isUserVerified: true },
  });
  await page.tracing.start({});
  await page.goto(site);
  const trace = await page.tracing.stop();
  out.inspected = [trace.length > 1000, (await page.metrics()).Nodes > 0, (await page.pdf()).length > 1000];
  await browser.disconnect();
  return out;
});
