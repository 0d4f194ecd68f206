"""A real Chromium, driven from outside: Debian's packages `chromium` and `chromium-driver`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from tests.connector.rig import wait_until

BROWSER, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
MISSING = "" if BROWSER and DRIVER else "there is no Chromium: apt-get install chromium chromium-driver"
ARGUMENTS = (
    "headless", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking",
    "disable-component-update", "disable-sync", "hide-scrollbars", "lang=en",
)  # fmt: skip
DESK, PHONE = (1200, 900), (360, 800)


class Browser:
    """One window. `look_as` says who looks: on what screen, in the dark or not, with scripts or without."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def look_as(self, size: tuple[int, int] = DESK, *, dark: bool = False, scripts: bool = True) -> Browser:
        width, height = size
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width == PHONE[0]}
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._tell("setDeviceMetricsOverride", metrics)
        self._tell("setEmulatedMedia", {"features": [scheme]})
        self._tell("setScriptExecutionDisabled", {"value": not scripts})
        return self

    def _tell(self, command: str, values: dict[str, Any]) -> None:
        self.driver.execute_cdp_cmd(f"Emulation.{command}", values)

    def open(self, url: str) -> Browser:
        self.driver.get("about:blank")  # else an address with a fragment alone would load nothing
        self.driver.get(url)
        return self

    def press(self, selector: str) -> None:
        """Press a button, in one step: a refresh may put another in its place at any moment."""
        self.driver.execute_script("document.querySelector(arguments[0]).click()", selector)

    def follow(self, selector: str) -> None:
        """Follow a link, or send a form by its button, and wait for the next page."""
        self.ask("window.isLeft = true")
        self.press(selector)
        wait_until(self._has_arrived)

    def send(self, selector: str, text: str) -> None:
        """Type into a field, send its form, and wait for the next page."""
        self.one(selector).send_keys(text)
        self.follow("form:has(:focus) button")

    def _has_arrived(self) -> bool:
        try:
            return bool(self.ask("return !window.isLeft && document.readyState === 'complete'"))
        except WebDriverException:  # it is between two pages
            return False

    def hold(self) -> Browser:
        """Let nothing be refreshed any more, so that what was found stays what is shown."""
        self.ask("document.getElementById('pause')?.setAttribute('aria-pressed', 'true')")
        return self

    def one(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    @property
    def text(self) -> str:
        """What a person reads."""
        return str(self.driver.execute_script("return document.body.innerText"))

    def ask(self, script: str) -> object:
        """Run a script of the test's own."""
        return self.driver.execute_script(script)

    def complaints(self) -> list[str]:
        """What the browser has complained of since the last time: what the policy forbids, scripts that fail."""
        return [entry["message"] for entry in self.driver.get_log("browser")]  # type: ignore[no-untyped-call]

    def wait_for(self, text: str) -> None:
        """Wait until a person can read it."""
        wait_until(lambda: text in self.text, say=lambda: f"{text!r} is not in:\n{self.text}")


@contextmanager
def chromium(directory: Path) -> Iterator[Browser]:
    """Start one with an empty profile."""
    options = webdriver.ChromeOptions()
    options.binary_location = str(BROWSER)
    root = ("no-sandbox",) if os.geteuid() == 0 else ()  # its sandbox does not run as root
    for argument in (*ARGUMENTS, *root, f"user-data-dir={directory}"):
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    try:
        yield Browser(driver)
    finally:
        driver.quit()
