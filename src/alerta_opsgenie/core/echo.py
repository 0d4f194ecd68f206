"""Echoes: Opsgenie sends each action to all integrations, so an action of our plugin comes back as a message.

An action is an echo if it came through the API, and its actor or the name of its source is one of ours. An action from
the web, a phone or the chat is never an echo. If the message has no origin, the actor alone decides.
"""

from typing import FrozenSet

from .message import Message, claimed_actor, console, origin

MARK = " via Alerta"
"""The end of `user` in each request of the plugin; Opsgenie returns it as `$.alert.username` (confirmed)."""

# PUT /v2/alerts/ID/priority, /message and /description take no `user`, so Opsgenie sets its default actor.
_WITHOUT_USER = frozenset({"UpdatePriority", "UpdateMessage", "UpdateDescription"})
_API_ACTOR = "alert api"


def is_echo(message: Message, own_names: FrozenSet[str]) -> bool:
    """Whether the action was ours. `own_names`: the users and sources that our plugin sends, in lower case."""
    name, kind = origin(message)
    if kind not in ("", "api"):
        return False
    who = (claimed_actor(message) or console(message)).lower()  # not the login from a people file
    if kind == "api" and message.action in _WITHOUT_USER and who == _API_ACTOR:
        return True
    return who in own_names or who.endswith(MARK.lower()) or (kind == "api" and name in own_names)
