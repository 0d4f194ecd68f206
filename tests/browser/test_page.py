"""The page of a real `run` in a real Chromium."""

from __future__ import annotations

import re
import uuid

import pytest
from selenium.webdriver.common.keys import Keys

from tests.browser.chromium import PHONE, Browser
from tests.browser.site import TOKEN, Site
from tests.connector.rig import wait_until

HOSTILE = "<script>document.title='owned'</script>\u202egnp.exe" + "x" * 10_000


def acknowledge(site: Site, who: str = "alice@example.com") -> str:
    """Have somebody acknowledge; gives the alert."""
    alert = str(uuid.uuid4())
    site.rig.create(alert)
    site.rig.person(who).acknowledge(alert)
    return alert


def test_without_a_script_it_shows_the_state_and_the_last_actions(site: Site, browser: Browser) -> None:
    alert = acknowledge(site)
    site.rig.wait_delivered()
    browser.look_as(scripts=False).open(site.url)
    cards = [card.text for card in browser.all(".parts li")]
    assert [card.split()[0] for card in cards] == ["Queue", "Alerta", "Journal", "Delivery"]
    assert all("works" in card and re.search(r"Last success: \d+ (s|min) ago", card) for card in cards)
    row = next(row.text for row in browser.all("tbody tr") if alert in row.text)
    assert "Acknowledge" in row
    assert "alice@example.com" in row
    assert "applied" in row
    assert re.search(r"Opsgenie ends in \d+ days, on 2027-04-05|Opsgenie has ended", browser.text)
    assert not browser.one("#pause").is_displayed()


def test_without_a_script_a_person_can_be_searched_and_an_alerts_actions_read(site: Site, browser: Browser) -> None:
    alert = acknowledge(site, "zoe@example.com")
    site.rig.person("yan@example.com").close(alert)
    site.rig.wait_delivered()
    browser.look_as(scripts=False).open(site.url)
    browser.send("#q", "zoe@")
    assert [alert in row.text for row in browser.all("tbody tr")] == [True]
    browser.follow('tbody a[href^="alert"]')
    assert [cell.text.split()[0] for cell in browser.all("td:nth-child(2)")] == ["Acknowledge", "Close"]


def test_new_actions_appear_without_a_reload_unless_paused(site: Site, browser: Browser) -> None:
    browser.open(site.url)
    first = acknowledge(site)
    browser.wait_for(first)
    assert "new action" in browser.one("#live-status").text
    browser.press("#pause")
    assert (browser.one("#pause").get_attribute("aria-pressed"), browser.one("#live-status").text) == ("true", "Paused")
    second = acknowledge(site)
    site.rig.wait_delivered()
    third = site.dead()
    browser.ask("return new Promise((done) => setTimeout(done, 2500))")  # a round and more
    assert second not in browser.text
    browser.press("#pause")
    browser.wait_for(second)
    assert third in browser.text
    assert browser.complaints() == []


def test_a_refresh_keeps_the_focus(site: Site, browser: Browser) -> None:
    acknowledge(site)
    site.rig.wait_delivered()
    browser.open(site.url)
    browser.ask("document.querySelector('tbody a').id = 'old'; document.getElementById('old').focus()")
    focused = browser.ask("return document.activeElement.getAttribute('href')")
    wait_until(lambda: not browser.all("#old"))
    assert browser.ask("return document.activeElement.getAttribute('href')") == focused


@pytest.mark.parametrize(("button", "says"), [("Try again", "waits again"), ("Drop", "dropped")])
def test_a_dead_letter_is_retried_or_dropped_with_the_token_and_a_confirmation(
    site: Site, browser: Browser, button: str, says: str
) -> None:
    alert = site.dead()
    browser.open(f"{site.url}?state=dead")
    browser.follow(f'a[aria-label="{button}: Close on {alert[:8]}"]')
    assert browser.one("form.ask h2").text == f"{button}?"
    browser.send("#token", "not the token at all")
    assert "This is not the token" in browser.text
    assert site.is_dead(alert)
    browser.send("#token", TOKEN)
    browser.wait_for(says)
    assert not site.is_dead(alert)
    browser.ask("sessionStorage.clear()")


def test_a_url_with_the_token_fills_it_in_and_drops_it_from_the_address(site: Site, browser: Browser) -> None:
    alert = site.dead()
    browser.open(f"{site.url}?state=dead#token={TOKEN}")
    assert TOKEN not in browser.driver.current_url
    browser.follow(f'a[aria-label="Drop: Close on {alert[:8]}"]')
    browser.follow("form.ask button")
    browser.wait_for("dropped")
    browser.ask("sessionStorage.clear()")


def test_a_strangers_form_with_the_right_token_changes_nothing(site: Site, browser: Browser) -> None:
    """From a page of another origin (this one has none at all), in the very browser of somebody who may."""
    alert = site.dead()
    key = next(action.key for action in site.rig.rows("dead") if action.alert == alert)
    fields = {"do": "drop", "target": "", "key": key, "token": TOKEN}
    inputs = "".join(f"<input name={name} value='{value}'>" for name, value in fields.items())
    browser.open(f"data:text/html,<form method=post action='{site.url}decide'>{inputs}<button>go</button></form>")
    browser.follow("button")
    browser.wait_for("not from this page")
    assert site.is_dead(alert)


@pytest.mark.parametrize("field", ["username", "userFullName", "note"])
def test_names_of_strangers_are_text(site: Site, browser: Browser, field: str) -> None:
    names = {"username": "", "userFullName": "", "note": "", field: HOSTILE}
    alert = site.dead(**names)
    browser.open(f"{site.url}?q={alert}")
    assert browser.driver.title.endswith("alerta-opsgenie")
    browser.follow("tbody a")
    assert browser.driver.title.endswith("alerta-opsgenie")
    assert "\u202e" not in browser.text
    assert browser.ask("return document.documentElement.scrollWidth <= innerWidth")
    assert len(browser.all("script")) == 1


@pytest.mark.parametrize("path", ["", "?state=dead", "alert", "action"])
def test_a_phone_scrolls_in_one_direction_only(site: Site, browser: Browser, path: str) -> None:
    alert = site.dead(username="a.person.with.a.name.as.long.as.a.train@department.of.somewhere.example.com")
    browser.look_as(PHONE).open(f"{site.url}?q={alert}").hold()
    if path in ("alert", "action"):
        browser.follow(f'tbody a[href^="{path}"]')
    else:
        browser.open(site.url + path).hold()
    assert browser.ask("return document.documentElement.scrollWidth") == PHONE[0]
    assert {cell.aria_role for cell in browser.all("td")} <= {"cell"}  # lines one below the other are still a table
    assert min(cell.size["width"] for cell in browser.all("td:not(:first-child), dd")) > PHONE[0] / 3


def test_dark_and_light_have_enough_contrast(site: Site, browser: Browser) -> None:
    """Contrast of text as WCAG 2 measures it, 4.5 to 1: https://www.w3.org/TR/WCAG21/#contrast-minimum"""
    site.dead()
    for dark in (False, True):
        browser.look_as(dark=dark).open(site.url)
        darkness = browser.ask(_CONTRAST)
        assert isinstance(darkness, list)
        background, worst = darkness
        assert (background < 0.1) is dark
        assert worst >= 4.5, dark


_CONTRAST = """
const parse = (text) => text.match(/[\\d.]+/g).map(Number);
const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
  .map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
  .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
const behind = (one) => { const c = parse(getComputedStyle(one).backgroundColor);
  return c.length === 4 && c[3] === 0 ? behind(one.parentElement) : c; };
const ratios = [...document.querySelectorAll("h1,h2,h3,p,b,a,td,th,code,bdi,small,button,.badge,.word")].map((one) => {
  const [a, b] = [light(parse(getComputedStyle(one).color)), light(behind(one))].sort((x, y) => y - x);
  return (a + 0.05) / (b + 0.05); });
return [light(behind(document.body)), Math.min(...ratios)];
"""


def test_the_keyboard_reaches_everything_and_the_focus_is_visible(site: Site, browser: Browser) -> None:
    site.dead()
    browser.open(f"{site.url}?state=dead").hold()
    browser.one("body").send_keys(Keys.TAB)
    assert browser.ask("return document.activeElement.className") == "skip"
    assert browser.ask("return document.activeElement.getBoundingClientRect().left") >= 0  # type: ignore[operator]
    seen = []
    for _ in range(14):
        browser.driver.switch_to.active_element.send_keys(Keys.TAB)
        seen.append(browser.ask("return document.activeElement.innerText || document.activeElement.id"))
        assert browser.ask("return getComputedStyle(document.activeElement).outlineStyle") == "solid", seen[-1]
    assert {"alerta-opsgenie", "q", "Search", "Pause", "Close", "Try again", "Drop"} <= set(seen), seen


@pytest.mark.parametrize("path", ["", "alert", "action"])
def test_a_screen_reader_finds_landmarks_and_labels(site: Site, browser: Browser, path: str) -> None:
    alert = site.dead()
    browser.open(f"{site.url}?q={alert}").hold()
    if path:
        browser.follow(f'tbody a[href^="{path}"]')
    assert browser.one("html").get_attribute("lang") == "en"
    assert [len(browser.all(landmark)) for landmark in ("header", "main", "footer", "h1")] == [1, 1, 1, 1]
    fields = [field.get_attribute("id") for field in browser.all("input:not([type=hidden])")]
    assert all(browser.all(f"label[for={field}]") for field in fields)
    assert all(head.get_attribute("scope") == "col" for head in browser.all("th"))
    assert len(browser.all("table caption")) == len(browser.all("table"))
    names = [one.accessible_name for one in browser.all("a, button")]
    assert all(names), names
    levels = [int(one.tag_name[1]) for one in browser.all("h1, h2")]
    assert all(after - before <= 1 for before, after in zip(levels, levels[1:])), levels
