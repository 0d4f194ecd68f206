"""Which actions are our own coming back: the plugin told Opsgenie, and Opsgenie tells everybody who listens.

No single sign is certain, so several are read together: the action came through the API, and its actor or its
source's name is one of ours. An action from the web, a phone or the chat is never an echo. Where Opsgenie leaves the
origin out, the actor decides alone.
"""

from typing import FrozenSet

from .message import Message, claimed_actor, console, origin

MARK = " via Alerta"
"""The plugin ends the `user` of each of its requests so; Opsgenie gives that back as `$.alert.username` (confirmed)."""


# The API's requests for these carry no `user` (contract of PUT /v2/alerts/ID/priority, message and description), so
# Opsgenie names its own default for the actor.
_WITHOUT_USER = frozenset({"UpdatePriority", "UpdateMessage", "UpdateDescription"})
_API_ACTOR = "alert api"


def is_echo(message: Message, own_names: FrozenSet[str]) -> bool:
    """Whether the action was ours. `own_names`: the users and sources that our plugin sends, in lower case."""
    name, kind = origin(message)
    if kind not in ("", "api"):
        return False
    who = (claimed_actor(message) or console(message)).lower()  # never the login that a mapping gives
    if kind == "api" and message.action in _WITHOUT_USER and who == _API_ACTOR:
        return True
    return who in own_names or who.endswith(MARK.lower()) or (kind == "api" and name in own_names)
