"""YAML nodes to plain values, with limits and with what the plain loader forgets: repeated keys and literal texts."""

from __future__ import annotations

from typing import Any

import yaml

_Path = tuple["str | int", ...]
_TEXT, _NULL, _MERGE = "tag:yaml.org,2002:str", "tag:yaml.org,2002:null", "tag:yaml.org,2002:merge"
_NUMBERS = {"tag:yaml.org,2002:int", "tag:yaml.org,2002:float", "tag:yaml.org,2002:bool"}


class NodeReader:
    """Turns composed nodes into dicts, lists and scalars; keys are always texts, as the format has no others.

    `deepest` bounds nesting and `most_nodes` the values after aliases are followed: both raise `yaml.MarkedYAMLError`.
    """

    def __init__(self, *, deepest: int, most_nodes: int) -> None:
        self.repeated: list[_Path] = []
        self.literals: dict[_Path, str] = {}
        self._deepest = deepest
        self._left = most_nodes
        self._scalars = yaml.SafeLoader("")

    def read(self, node: yaml.Node, path: _Path = ()) -> Any:
        """Give the value of a node."""
        self._left -= 1
        if self._left < 0:
            raise _refusal(node, "aliases that repeat more than any configuration needs")
        if len(path) > self._deepest:
            raise _refusal(node, f"nesting of more than {self._deepest} levels")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.read(item, (*path, index)) for index, item in enumerate(node.value)]
        return self._scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: _Path) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        own: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _refusal(key, "a key that is not a text")
            if key.tag == _MERGE:
                merged.update(self._merge(value, path))
                continue
            if key.value in own:
                self.repeated.append((*path, key.value))
            own[key.value] = self.read(value, (*path, key.value))
        return {**merged, **own}

    def _merge(self, node: yaml.Node, path: _Path) -> dict[str, Any]:
        sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
        found: dict[str, Any] = {}
        for source in sources:
            if not isinstance(source, yaml.MappingNode):
                raise _refusal(source, "a merge (<<) of something that is not an object")
            found = {**self.read(source, path), **found}
        return found

    def _scalar(self, node: yaml.Node, path: _Path) -> Any:
        text = str(node.value)
        if node.tag == _NULL:
            return None
        if node.tag not in _NUMBERS:
            # Dates and binaries have no place here; yaml.v2 gives their text, too.
            return text
        self.literals[path] = text
        try:
            return self._scalars.construct_object(node)
        except ValueError:
            raise _refusal(node, "a number that cannot be read") from None


def _refusal(node: yaml.Node, what: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=what, problem_mark=node.start_mark)
