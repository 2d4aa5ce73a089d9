"""YAML vocabularies: tags nested in lists, with their words and prompts; exclusive groups; templates.

Knows the keys. `yaml_nodes` reads the YAML itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from clipsearch.tagging.vocabulary.draft import Draft, Reference
from clipsearch.tagging.vocabulary.finish import finished
from clipsearch.tagging.vocabulary.languages import language_of, mistaken
from clipsearch.tagging.vocabulary.model import Vocabulary
from clipsearch.tagging.vocabulary.source import Origin
from clipsearch.tagging.vocabulary.words import prompt_of
from clipsearch.tagging.vocabulary.yaml_nodes import Node, nodes_of

_TOP = ("prompts", "none", "tags", "exclusive")
_ROLES = {
    "name": "name", "tag": "name", "label": "name",
    "parent": "parent", "parents": "parent", "broader": "parent",
    "narrower": "narrower", "children": "narrower", "tags": "narrower",
    "synonyms": "synonyms", "synonym": "synonyms", "aliases": "synonyms",
    "prompts": "prompts", "prompt": "prompts",
    "group": "group", "exclusive": "group",
}  # fmt: skip
_YES = ("yes", "true", "on", "no", "false", "off")


def read_yaml(text: str, origin: Origin) -> Vocabulary:
    """The vocabulary. Raises VocabularyError."""
    root = nodes_of(text, origin)
    draft = Draft(origin)
    reader = _Reader(draft)
    if root.kind == "list":
        reader.tags(root, None)
    elif root.kind == "map":
        reader.document(root)
    elif root.kind == "text":
        raise origin.error(
            root.line, "has no list; put '- ' before each tag, or name the file .txt for plain lines"
        )
    return finished(draft)


class _Reader:
    """Puts nodes into a draft."""

    def __init__(self, draft: Draft) -> None:
        self._draft, self._origin = draft, draft.origin

    def document(self, root: Node) -> None:
        """The file's top level."""
        groups: list[tuple[Node, Node]] = []
        for key, value in root.pairs:
            if key.text == "prompts":
                self._draft.templates = tuple(self._template(node) for node in self._texts(key, value))
            elif key.text == "none":
                texts = self._texts(key, value)
                self._draft.neutral = tuple(prompt_of(node.text, self._origin, node.line) for node in texts)
            elif key.text == "tags":
                self.tags(value, None)
            elif key.text == "exclusive":
                groups += self._exclusive(value)
            elif value.kind == "list" and not _near(key.text, _TOP):
                groups.append((key, value))
            else:
                raise self._origin.error(key.line, self._unknown_at_top(key))
        self._groups(groups)

    def tags(self, node: Node, parent: int | None) -> list[int]:
        """Places of the tags of a list, or of a map's keys."""
        if node.kind == "list":
            return [place for item in node.items for place in self._item(item, parent)]
        if node.kind == "map":
            return self._named(node.pairs, parent)
        if node.kind == "text":
            raise self._origin.error(
                node.line, f"{node.text[:60]!r} stands where tags should; write a list: [{node.text[:60]}]"
            )
        return []

    def _item(self, node: Node, parent: int | None, group: Reference | None = None) -> list[int]:
        if node.kind == "text":
            return [self._new(node.text, node.line, parent, group)]
        if node.kind == "list":
            raise self._origin.error(
                node.line, "has a list in a list; write 'parent: [child, child]' for levels"
            )
        if node.kind == "nothing":
            raise self._origin.error(node.line, "has an empty item; write a tag after '-' or delete it")
        roles = [_ROLES.get(key.text) for key, _ in node.pairs]
        if "name" in roles:
            return [self._described(node, roles.index("name"), parent, group)]
        return self._named(node.pairs, parent, group)

    def _named(
        self, pairs: Sequence[tuple[Node, Node]], parent: int | None, group: Reference | None = None
    ) -> list[int]:
        """Tags written as keys: `nut: {ja: ナット}`, `fastener: [bolt, nut]`."""
        for key, _ in pairs:
            if key.text in _ROLES or language_of(key.text):
                first = pairs[0][0].text
                advice = f"indent it deeper than {first!r}" if key.text != first else "add name: …"
                raise self._origin.error(
                    key.line,
                    f"{key.text!r} belongs to a tag, but stands where a tag's name should: {advice}; "
                    f"a tag that is called so is written {{name: {key.text}}}",
                )
        places = []
        for key, value in pairs:
            if value.kind == "text":
                raise self._origin.error(
                    value.line,
                    f"{key.text!r} has {value.text[:60]!r} after its colon; write a list of the tags below "
                    f"it, [{value.text[:60]}], or what it is: {{ja: …}}; a name with ': ' in it needs "
                    "quotation marks",
                )
            place = self._new(key.text, key.line, parent, group, value)
            places.append(place)
            if value.kind == "list":
                self.tags(value, place)
            elif value.kind == "map":
                self._properties(place, value.pairs)
        return places

    def _described(self, node: Node, at: int, parent: int | None, group: Reference | None) -> int:
        """A tag written as `name: gear, synonyms: [cog]`."""
        key, value = node.pairs[at]
        name = self._text(key, value)
        place = self._new(name, value.line, parent, group, node)
        self._properties(place, (*node.pairs[:at], *node.pairs[at + 1 :]))
        return place

    def _new(
        self, name: str, line: int, parent: int | None, group: Reference | None, node: Node | None = None
    ) -> int:
        """The place of a tag; one that is there already, where a group takes it up."""
        draft = self._draft
        is_apart = parent is None and (group is not None or (node is not None and _names_a_parent(node)))
        if is_apart:
            return draft.add(name, line, group=group)
        known = draft.place(parent, name, line=line) if group is not None else None
        place = draft.child(parent, name, line=line) if known is None else known
        if group is not None:
            if known is not None and draft.entries[place].group is not None:
                raise draft.twice(name, line, before=draft.entries[place].line)
            draft.entries[place].group = group
        return place

    def _properties(self, place: int, pairs: Iterable[tuple[Node, Node]]) -> None:
        draft = self._draft
        entry = draft.entries[place]
        for key, value in pairs:
            role, language = _ROLES.get(key.text), language_of(key.text)
            if role == "narrower":
                self.tags(value, place)
            elif role == "parent":
                entry.references += [draft.refer(n.text, n.line) for n in self._texts(key, value)]
            elif role == "prompts":
                for node in self._texts(key, value):
                    draft.prompt(place, node.text, node.line)
            elif role == "group":
                entry.group = self._group(key, value)
            elif role == "synonyms" or (role is None and language):
                for node in self._words(key, value):
                    draft.say(place, node.text, node.line, language=None if role else language)
            else:
                raise self._origin.error(key.line, self._unknown(key, value, entry.name))

    # --- groups ------------------------------------------------------------------------------------

    def _exclusive(self, value: Node) -> Sequence[tuple[Node, Node]]:
        if value.items and all(item.kind == "map" for item in value.items):
            return [pair for item in value.items for pair in item.pairs]
        if value.kind != "map":
            raise self._origin.error(
                value.line, "exclusive needs each group's name: write 'material: [brass, steel]' below it"
            )
        return value.pairs

    def _groups(self, groups: list[tuple[Node, Node]]) -> None:
        """Groups, one that is named like another's member after that one."""
        seen: dict[str, int] = {}
        for key, _ in groups:
            if key.text in seen:
                raise self._draft.twice(key.text, key.line, before=seen[key.text], under=" as a group")
            seen[key.text] = key.line
        waiting = dict.fromkeys(range(len(groups)))
        while waiting:
            members = {
                _name(item): i for i in waiting for item in groups[i][1].items if groups[i][1].kind == "list"
            }
            free = (i for i in waiting if members.get(groups[i][0].text, i) == i)
            chosen = next(free, next(iter(waiting)))
            del waiting[chosen]
            self._members(*groups[chosen])

    def _members(self, key: Node, value: Node) -> None:
        if value.kind != "list":
            raise self._origin.error(
                key.line, f"the group {key.text!r} needs a list of its tags: [brass, steel]"
            )
        reference = self._draft.refer(key.text, key.line, what="a group's name")
        labels = self._draft.candidates(reference)
        parent = labels[0] if len(labels) == 1 else None
        for item in value.items:
            self._item(item, parent, reference)

    def _group(self, key: Node, value: Node) -> Reference:
        text = self._text(key, value)
        if text.lower() in _YES:
            raise self._origin.error(
                value.line, f"{key.text} says {text!r}; write the group's name, such as 'group: material'"
            )
        return self._draft.refer(text, value.line, what="a group's name")

    # --- values ------------------------------------------------------------------------------------

    def _text(self, key: Node, value: Node) -> str:
        if value.kind != "text":
            raise self._origin.error(key.line, f"{key.text!r} needs one word, not a {value.kind}")
        return value.text

    def _texts(self, key: Node, value: Node) -> list[Node]:
        nodes = [value] if value.kind == "text" else list(value.items)
        wrong = [node for node in nodes if node.kind != "text"]
        if value.kind == "map" or wrong:
            raise self._origin.error(
                (wrong or [value])[0].line, f"{key.text!r} needs a list of words: [one, two]"
            )
        return nodes

    def _words(self, key: Node, value: Node) -> list[Node]:
        if value.kind == "text" and re.search("[,;、，；]", value.text):
            raise self._origin.error(
                value.line,
                f"{key.text!r} holds {value.text[:60]!r}; write a list, [{value.text[:60]}], or, if it is "
                f"one word, ['{value.text[:60]}']",
            )
        return self._texts(key, value)

    def _template(self, node: Node) -> str:
        text = prompt_of(node.text, self._origin, node.line, what="a template")
        if "{}" not in text and re.search(r"\s|[{}]", text):
            raise self._origin.error(
                node.line,
                f"{text!r} is neither a template, which has {{}} where the tag comes, nor the name of a set "
                "of templates",
            )
        return text

    def _unknown(self, key: Node, value: Node, name: str) -> str:
        near = _near(key.text, list(_ROLES))
        wrong = mistaken(key.text)
        advice = f"{wrong}." if wrong else f"did you mean {near!r}?" if near else ""
        if not advice and value.kind in ("nothing", "list", "map"):
            advice = f"is it a tag below {name!r}? Those are a list: '- {key.text}'."
        return (
            f"{key.text!r} is nothing that a tag has; {advice or 'delete it.'} Known are name, parent, "
            "narrower, synonyms, prompts, group and languages: ja, de, pt-BR"
        )

    def _unknown_at_top(self, key: Node) -> str:
        near = _near(key.text, _TOP)
        advice = (
            f"did you mean {near!r}? A group that is called so stands below exclusive:"
            if near
            else f"a group has a list, '{key.text}: [a, b]'; tags stand below tags:"
        )
        return f"{key.text!r} is not known here: {advice}"


def _near(word: str, known: Sequence[str]) -> str | None:
    return next(iter(get_close_matches(word.casefold(), known, n=1, cutoff=0.75)), None)


def _name(node: Node) -> str:
    """The name of the tag that an item makes."""
    if node.kind != "map":
        return node.text
    named = [value.text for key, value in node.pairs if _ROLES.get(key.text) == "name"]
    return named[0] if named else next((key.text for key, _ in node.pairs), "")


def _names_a_parent(node: Node) -> bool:
    return any(_ROLES.get(key.text) in ("parent", "group") for key, _ in node.pairs)
