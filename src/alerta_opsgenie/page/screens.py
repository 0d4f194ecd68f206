"""The screens: overview, one alert, one action. Each works without JavaScript."""

from __future__ import annotations

import json
import time
from typing import Iterable, Iterator, Mapping, Sequence
from urllib.parse import urlencode

from alerta_opsgenie import __version__
from alerta_opsgenie.core.delivery import FORGET_AFTER_SECONDS
from alerta_opsgenie.core.limits import END_OF_OPSGENIE
from alerta_opsgenie.page.markup import Html, age, ago, cut, html
from alerta_opsgenie.page.view import MOST_ROWS, Overview, Part, PluginStatus, Row, days_left, label_of

NOTICES = {
    "retry": "It waits again and is due at once.",
    "drop": "It was dropped.",
    "gone": "Nothing was changed: the action has ended or is gone.",
}
_DECISIONS = {
    "retry": ("Try again", "It will wait again, due at once. Nothing is done twice."),
    "drop": ("Drop", "It will be removed from the journal, and its key too. No result is sent."),
}
_COUNTS = (("in_flight", "in flight", "in-flight"), ("waiting", "waiting", "waiting"), ("dead", "dead letters", "dead"))
_OF_PLUGIN = {"waiting": "wait", "dead_letters": "dead letters", "paused_keys": "keys paused"}
_SIDES = {"alerta": "Alerta", "opsgenie": "Opsgenie or JSM"}
_SHORT_ID = 8
_LONGEST_BODY = 20_000

_SHELL = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title} \u00b7 alerta-opsgenie</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,"><link rel="stylesheet" href="page.css"><script src="page.js" defer></script></head>
<body><a class="skip" href="#main">To the content</a>
<header><a class="brand" href="./">alerta-opsgenie</a>
<form role="search" action="./"><label for="q" class="hidden">Alert, person, or word of the message</label>
<input id="q" name="q" type="search" placeholder="Alert, person, word" maxlength="200" value="{text}">
<button>Search</button></form></header>
<main id="main" tabindex="-1">{content}</main>
<footer>{footer}</footer></body></html>"""


def page(title: str, content: Html, text: str = "", directory: str = "") -> Html:
    """Return a whole page with header, content and footer."""
    days = days_left()
    ends = f"Opsgenie ends in {days} days, on {END_OF_OPSGENIE}" if days > 0 else "Opsgenie has ended"
    footer = html(
        "<p>{ends}.</p><p>Version {version}, {directory}</p>", ends=ends, version=__version__, directory=directory
    )
    return html(_SHELL, title=title, content=content, text=text, footer=footer)


def first_screen(found: Overview, rows: Sequence[Row], *, text: str, state: str, done: str) -> Html:
    """Return the overview and the last actions."""
    notice = html('<p class="notice" role="status">{words}</p>', words=NOTICES[done]) if done in NOTICES else ""
    narrow = f"What is {state.replace('-', ' ')}" if state else "The last actions"
    caption = f"Actions that {text!r} finds" if text else narrow
    narrowed = html(' <a href="./">Show all</a>') if text or state else ""
    return html(
        '{notice}<section id="now" aria-label="Status">{now}</section>'
        '<section id="live"><div class="bar"><h2>{caption}</h2>{narrowed}'
        '<span class="live" hidden><span id="live-status" role="status"></span> <button id="pause" type="button"'
        ' aria-pressed="false">Pause</button></span></div><div id="actions">{table}</div></section>',
        notice=notice, now=_state(found), caption=cut(caption, 80), narrowed=narrowed,
        table=table(rows, found.at, caption),
    )  # fmt: skip


def _state(found: Overview) -> Html:
    why = [
        html("<li><p>{what}</p><p class=do><b>Do:</b> {advice}</p></li>", what=cut(one.what, 600), advice=one.advice)
        for one in found.problems
    ]
    dead = round(found.total("dead"))
    if dead:
        words = _plural(dead, "dead letter") + (" waits" if dead == 1 else " wait")
        why.append(html('<li><p><a href="./?state=dead">{words}</a> for your decision.</p></li>', words=words))
    return html(
        '<h1 class="{how}">{verdict}</h1>{problems}<ul class="parts">{parts}</ul>{counts}{others}',
        how="good" if found.is_well else "bad", verdict=verdict_of(found),
        problems=html('<ul class="why">{why}</ul>', why=why) if why else "",
        parts=[_part(part, found.at) for part in found.parts], counts=_counts(found),
        others=[_plugin(side, found.at) for side in found.plugins],
    )  # fmt: skip


def verdict_of(found: Overview) -> str:
    """Return the state in few words."""
    return "All is well" if found.is_well else "Not well"


def _part(part: Part, now: float) -> Html:
    how, word = {True: ("good", "works"), False: ("bad", "does not work"), None: ("unknown", "not known")}[part.is_well]
    at = ago(part.at, now) if part.at else "none yet"
    return html(
        '<li class="{how}"><h2>{name} <span class="word">{word}</span></h2><p>{what}</p>'
        "<p>Last success: {at}</p></li>",
        how=how, word=word, name=cut(part.name, 80), what=cut(part.what), at=at,
    )  # fmt: skip


def _tiles(facts: Iterable[tuple[object, str]]) -> Html:
    tiles = [html("<li><b>{value}</b> {name}</li>", value=value, name=name) for value, name in facts]
    return html('<ul class="counts">{tiles}</ul>', tiles=tiles)


def _counts(found: Overview) -> Html:
    facts: list[tuple[object, str]] = [
        (round(found.total(field)), html('<a href="./?state={state}">{name}</a>', state=state, name=name))
        for field, name, state in _COUNTS
    ]
    facts.append((round(found.total("done")), f"done in the last {FORGET_AFTER_SECONDS / 86400:.0f} days"))
    oldest = max((one.oldest_waiting_seconds for one in found.counts.values()), default=0.0)
    return _tiles([*facts, *([(age(oldest), "the longest wait")] if oldest else [])])


def _plugin(side: PluginStatus, now: float) -> Html:
    figures, why = side.figures, f" is not shown: {cut(side.why)}" if side.why else ""
    sweep = figures.get("last_good_sweep", 0.0)
    facts: list[tuple[object, str]] = [
        *((round(figures.get(field, 0)), name) for field, name in _OF_PLUGIN.items()),
        (age(figures.get("oldest_waiting_seconds", 0.0)), "the longest wait"),
        (ago(sweep, now) if sweep > 0 else "none", "last good comparison"),
    ]
    none = "nothing had to be repaired" if sweep > 0 else "none yet"
    drift = html("<p>Comparison of both sides: {drift}.</p>", drift="; ".join(_drift(figures)) or none)
    return html(
        '<section class="plugin"><h2>From Alerta to Opsgenie or JSM</h2><p class=none>The plugin in {url}{why}</p>'
        "{tiles}{drift}</section>",
        url=cut(side.url, 200), why=why, tiles="" if why else _tiles(facts), drift="" if why else drift,
    )  # fmt: skip


def _drift(figures: Mapping[str, float]) -> Iterator[str]:
    for name, many in sorted(figures.items()):
        field, _, side = name.partition("drift_repaired_")[2].rpartition("_")
        if many and side in _SIDES:
            yield f"{field} repaired in {_SIDES[side]}: {many:.0f}"
        elif many and name.startswith("drift_found_"):
            yield f"{name[len('drift_found_') :]} found and left, no rule settles it: {many:.0f}"


def table(rows: Sequence[Row], now: float, caption: str) -> Html:
    """Return a table with a line for each action."""
    if not rows:
        return html('<p class="none">Nothing.</p>')
    more = html("<p class=none>These are the newest {count}.</p>", count=MOST_ROWS) if len(rows) >= MOST_ROWS else ""
    return html(
        '<table><caption class="hidden">{caption}</caption><thead><tr><th scope="col">When</th>'
        '<th scope="col">Action</th><th scope="col">Alert</th><th scope="col">Outcome</th></tr></thead>'
        "<tbody>{lines}</tbody></table>{more}",
        caption=cut(caption, 80), lines=[_line(row, now) for row in rows], more=more,
    )  # fmt: skip


def _line(row: Row, now: float) -> Html:
    action = html("<b>{action}</b>", action=cut(row.action, 60) or "without a name")
    if row.accepted_at:
        action = html('<a href="{to}">{action}</a>', action=action, to=_to("action", row, key=row.key))
    return html(
        '<tr data-key="{key}"><td>{at}</td><td>{action} <bdi>{person}</bdi></td><td>{alert}</td>'
        "<td>{outcome} {decide}</td></tr>",
        key=row.key or row.at, at=ago(row.at, now), action=action, person=cut(row.person, 120), alert=_alert(row),
        outcome=_outcome(row, now), decide=_decisions(row) if row.outcome == "dead" else "",
    )  # fmt: skip


def _alert(row: Row) -> Html:
    short, rest = cut(row.alert, 100)[:_SHORT_ID], cut(row.alert, 100)[_SHORT_ID:]
    name = html("<code>{short}<span>{rest}</span></code>", short=short, rest=rest)
    if not row.accepted_at or not row.alert:
        return name
    to = _to("alert", row, id=row.alert)
    return html('<a href="{to}" title="All actions on {id}">{name}</a>', to=to, id=row.alert, name=name)


def _to(path: str, row: Row, **fields: str) -> str:
    return f"{path}?{urlencode({'target': row.target, **fields}, errors='replace')}"


def _outcome(row: Row, now: float) -> Html:
    reason = f"{row.reason}: {row.detail}" if row.detail else row.reason
    shown = "" if reason in ("done", row.outcome) else cut(reason)
    tries = _plural(row.attempts, "attempt") if row.attempts > 1 else ""
    due = ago(row.due_at, now) if row.due_at > now else "now"
    again = html("{comma}again {due}", comma=", " if tries else "", due=due) if row.outcome == "waiting" else ""
    return html(
        '<span class="badge {outcome}">{words}</span> {reason} <small>{tries}{again}</small>',
        outcome=row.outcome, words=row.outcome.replace("-", " "), reason=shown, tries=tries, again=again,
    )  # fmt: skip


def _decisions(row: Row) -> list[Html]:
    about = f"{cut(row.action, 40)} on {row.alert[:_SHORT_ID] or 'no alert'}"
    return [
        html('<a class="button" href="{to}" aria-label="{verb}: {about}">{verb}</a> ',
             to=_to("action", row, key=row.key, do=what), verb=verb, about=about)
        for what, (verb, _) in _DECISIONS.items() if row.is_open
    ]  # fmt: skip


def alert_screen(target: str, alert: str, rows: Sequence[Row]) -> Html:
    """Return one alert's actions in order."""
    caption = "Actions in the order in which they are delivered"
    return html(
        "<h1>Alert <code>{alert}</code></h1><p>{side}</p><h2>{caption}</h2>{table}",
        alert=cut(alert, 100), side=label_of(target), caption=caption,
        table=table(rows, time.time(), caption),
    )  # fmt: skip


def action_screen(row: Row, what: str, *, enabling: str, problem: str = "") -> Html:
    """Return one action, with the question whether to do `what`, if it is given."""
    facts = [
        ("Outcome", _outcome(row, time.time())),
        ("Alert", _alert(row)), ("For", label_of(row.target)), ("Who", row.person or "not known"),
        ("Attempts", row.attempts), ("Accepted", ago(row.accepted_at, time.time())),
        ("First attempt", ago(row.first_attempt_at, time.time()) if row.first_attempt_at else "not noted"),
        ("Changed", ago(row.at, time.time())), ("Key", row.key),
    ]  # fmt: skip
    body = html("<h2>Message</h2><pre>{body}</pre>", body=_readable(row.body)) if row.body else ""
    return html(
        "<h1>{action}</h1>{question}<dl>{facts}</dl>{body}",
        action=cut(row.action, 100), question=_question(row, what, enabling, problem), body=body,
        facts=[html("<div><dt>{name}</dt><dd>{value}</dd></div>", name=name, value=value) for name, value in facts],
    )  # fmt: skip


def _question(row: Row, what: str, enabling: str, problem: str) -> Html:
    if what not in _DECISIONS or not row.is_open:
        return html("<p class=none>{links}</p>", links=_decisions(row))
    verb, means = _DECISIONS[what]
    if enabling:
        return html('<section class="ask"><h2>{verb}?</h2><p>This page only shows. {how}</p></section>',
                    verb=verb, how=enabling)  # fmt: skip
    wrong = html('<p id="wrong" class="wrong" role="alert">{problem}</p>', problem=problem) if problem else ""
    return html(
        '<form class="ask" method="post" action="decide"><h2>{verb}?</h2><p>{means}</p>{wrong}'
        '<input type="hidden" name="do" value="{what}"><input type="hidden" name="target" value="{target}">'
        '<input type="hidden" name="key" value="{key}">'
        '<label for="token">Token</label> <input id="token" name="token" type="password" required'
        ' autocomplete="current-password"> <button>{verb}</button> <a href="./">Cancel</a></form>',
        verb=verb, means=means, wrong=wrong, what=what, target=row.target, key=row.key,
    )  # fmt: skip


def _readable(body: str) -> str:
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False)[:_LONGEST_BODY]
    except (ValueError, RecursionError):
        return body[:_LONGEST_BODY]


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
