"""Reads a page that an agent has logged in to, with Selenium: pip install selenium.

    go run ./examples/selenium -run 'python3 examples/selenium/client.py'
"""

import os

from selenium import webdriver
from selenium.webdriver.common.by import By

driver = webdriver.Remote(command_executor=os.environ["SELENIUM_REMOTE_URL"], options=webdriver.ChromeOptions())
try:
    driver.get(os.environ["SITE"])
    print(f"selenium:  {driver.title}: {driver.find_element(By.CSS_SELECTOR, 'h1').text}")
finally:
    driver.quit()
