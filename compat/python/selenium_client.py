"""Selenium, connected to a runtime. The key is the address of its WebDriver."""

import base64
import os
import tempfile

from compat import main
from selenium import webdriver
from selenium.common.exceptions import NoSuchElementException, WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.file_detector import LocalFileDetector
from selenium.webdriver.support import expected_conditions as until
from selenium.webdriver.support.ui import Select, WebDriverWait


def drive(site, address, _):
    bidi = webdriver.ChromeOptions()
    bidi.enable_bidi = True
    try:
        webdriver.Remote(command_executor=address, options=bidi).quit()
        refused = "a session"
    except WebDriverException as e:
        refused = e.msg.split(":")[0]
    options = webdriver.ChromeOptions()
    options.add_argument("--headless=new")
    options.add_argument("--no-sandbox")
    driver = webdriver.Remote(command_executor=address, options=options)
    try:
        return use(driver, site) | {"bidi": refused}
    finally:
        driver.quit()


def use(driver, site):
    did = {}
    css = lambda of: driver.find_element(By.CSS_SELECTOR, of)
    text = lambda: css("#out").text
    wait = WebDriverWait(driver, 10)
    driver.get(site)
    did["title"] = driver.title
    css("#name").send_keys("Ada")
    css("#greet").click()
    did["typed"] = text()
    did["value"] = css("#name").get_attribute("value")
    did["shown"] = [css("#greet").is_displayed(), css("#hidden").is_displayed()]
    did["script"] = driver.execute_script("return arguments[0] * 7", 6)
    did["async"] = driver.execute_async_script("setTimeout(() => arguments[0]('later'), 1)")
    did["shot"] = driver.get_screenshot_as_png()[1:4].decode()
    did["part"] = css("#greet").screenshot_as_png[1:4].decode()
    did["answers"] = []
    for answer in ["dismiss", "accept"]:
        css("#ask").click()
        alert = driver.switch_to.alert
        did["asked"] = alert.text
        getattr(alert, answer)()
        did["answers"].append(text())
    css("#prompt").click()
    driver.switch_to.alert.send_keys("Grace")
    driver.switch_to.alert.accept()
    did["answers"].append(text())
    driver.switch_to.frame("frame")
    did["frame"] = [css("#said").text]
    css("#in").click()
    did["frame"].append(css("#said").text)
    driver.switch_to.default_content()
    here = driver.current_window_handle
    before = set(driver.window_handles)
    css("#open").click()
    wait.until(until.number_of_windows_to_be(len(before) + 1))
    driver.switch_to.window((set(driver.window_handles) - before).pop())
    wait.until(until.title_is("other"))
    did["windows"] = [len(driver.window_handles), driver.title]
    driver.close()
    driver.switch_to.window(here)
    did["windows"].append(len(driver.window_handles))
    driver.add_cookie({"name": "colour", "value": "blue"})
    colour = driver.get_cookie("colour")["value"]
    driver.delete_all_cookies()
    did["cookie"] = [colour, driver.get_cookie("colour") is None]
    driver.set_window_rect(0, 0, 900, 700)
    size = driver.get_window_size()
    did["size"] = [size["width"], size["height"]]
    Select(css("#size")).select_by_value("l")
    did["chosen"] = css("#size").get_attribute("value")
    try:
        css("#none")
    except NoSuchElementException:
        did["missing"] = "no such element"
    driver.file_detector = LocalFileDetector()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "note.txt")
        with open(path, "w", encoding="utf-8") as note:
            note.write("brought")
        css("#file").send_keys(path)
    wait.until(lambda _: text().startswith("note.txt"))
    did["file"] = text()
    did["pdf"] = base64.b64decode(driver.print_page())[:4].decode()
    try:
        driver.execute("executeCdpCommand", {"cmd": "Browser.crash", "params": {}})
    except (KeyError, WebDriverException):
        did["cdp"] = "refused"
    return did


main(drive)
