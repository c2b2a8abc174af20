// Selenium, connected to a runtime. The key is the address of its WebDriver.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Builder, By, until } from "selenium-webdriver";
import chrome from "selenium-webdriver/chrome.js";
import { FileDetector } from "selenium-webdriver/remote/index.js";
import { Select } from "selenium-webdriver/lib/select.js";
import { main } from "./compat.mjs";

const png = (shot) => Buffer.from(shot, "base64").subarray(1, 4).toString();

async function use(driver, site) {
  const did = {};
  const css = (of) => driver.findElement(By.css(of));
  const text = () => css("#out").getText();
  await driver.get(site);
  did.title = await driver.getTitle();
  await css("#name").sendKeys("Ada");
  await css("#greet").click();
  did.typed = await text();
  did.value = await css("#name").getAttribute("value");
  did.shown = [await css("#greet").isDisplayed(), await css("#hidden").isDisplayed()];
  did.script = await driver.executeScript("return arguments[0] * 7", 6);
  did.async = await driver.executeAsyncScript("setTimeout(() => arguments[0]('later'), 1)");
  did.shot = png(await driver.takeScreenshot());
  did.part = png(await css("#greet").takeScreenshot());
  did.answers = [];
  for (const answer of ["dismiss", "accept"]) {
    await css("#ask").click();
    const alert = await driver.switchTo().alert();
    did.asked = await alert.getText();
    await alert[answer]();
    did.answers.push(await text());
  }
  await css("#prompt").click();
  const prompt = await driver.switchTo().alert();
  await prompt.sendKeys("Grace");
  await prompt.accept();
  did.answers.push(await text());
  await driver.switchTo().frame(css("#frame"));
  did.frame = [await css("#said").getText()];
  await css("#in").click();
  did.frame.push(await css("#said").getText());
  await driver.switchTo().defaultContent();
  const here = await driver.getWindowHandle();
  const before = await driver.getAllWindowHandles();
  await css("#open").click();
  const handles = () => driver.getAllWindowHandles();
  await driver.wait(async () => (await handles()).length === before.length + 1, 10000);
  await driver.switchTo().window((await handles()).find((one) => !before.includes(one)));
  await driver.wait(until.titleIs("other"), 10000);
  did.windows = [(await handles()).length, await driver.getTitle()];
  await driver.close();
  await driver.switchTo().window(here);
  did.windows.push((await handles()).length);
  await driver.manage().addCookie({ name: "colour", value: "blue" });
  const colour = (await driver.manage().getCookie("colour")).value;
  await driver.manage().deleteAllCookies();
  did.cookie = [colour, (await driver.manage().getCookies()).length === 0];
  await driver.manage().window().setRect({ x: 0, y: 0, width: 900, height: 700 });
  const size = await driver.manage().window().getRect();
  did.size = [size.width, size.height];
  await new Select(css("#size")).selectByValue("l");
  did.chosen = await css("#size").getAttribute("value");
  await css("#none").click().catch((e) => (did.missing = e.name === "NoSuchElementError" ? "no such element" : e.name));
  driver.setFileDetector(new FileDetector());
  const folder = mkdtempSync(join(tmpdir(), "bctrl-"));
  writeFileSync(join(folder, "note.txt"), "brought");
  await css("#file").sendKeys(join(folder, "note.txt"));
  rmSync(folder, { recursive: true });
  await driver.wait(async () => (await text()).startsWith("note.txt"), 10000);
  did.file = await text();
  return did;
}

await main(async (site, address) => {
  const options = new chrome.Options().addArguments("--headless=new");
  const driver = await new Builder().usingServer(address).forBrowser("chrome").setChromeOptions(options).build();
  try {
    return await use(driver, site);
  } finally {
    await driver.quit();
  }
});
