// Puppeteer and Playwright start an executable as their browser, give a page a file of
// this machine, and read a download on it. Arguments: the site, the executable, the file.
import { mkdtempSync, readFileSync, watch } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";
import puppeteer from "puppeteer-core";

const [site, executablePath, file] = process.argv.slice(2);
const out = {};

for (const pipe of [false, true]) {
  const browser = await puppeteer.launch({ executablePath, pipe });
  const folder = mkdtempSync(join(tmpdir(), "downloads-"));
  const page = await browser.newPage();
  await page.goto(site);
  await (await page.$("#file")).uploadFile(file);
  const seen = [await (await page.waitForFunction(() => took.textContent)).jsonValue()];
  const client = await page.createCDPSession();
  await client.send("Browser.setDownloadBehavior", { behavior: "allow", downloadPath: folder });
  const watcher = watch(folder); // it asks for no events
  const saved = new Promise((saw) => watcher.on("change", (_, name) => name === "report.csv" && saw()));
  await page.click("#report");
  await saved;
  watcher.close();
  seen.push(readFileSync(join(folder, "report.csv"), "utf8"));
  await browser.close();
  out[pipe ? "puppeteer by a pipe" : "puppeteer"] = seen;
}

const browser = await chromium.launch({ executablePath });
const page = await browser.newPage();
await page.goto(site);
await page.setInputFiles("#file", file);
const seen = [await (await page.waitForFunction(() => took.textContent)).jsonValue()];
const [download] = await Promise.all([page.waitForEvent("download"), page.click("#report")]);
seen.push(readFileSync(await download.path(), "utf8"));
await browser.close();
out.playwright = seen;
console.log(JSON.stringify(out));
