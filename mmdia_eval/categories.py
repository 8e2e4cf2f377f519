"""The closed label sets of the paper, and the names its release uses for some of them.

Jing et al., MM-DIA, ICLR 2026: Table 11 (relationships) and Table 12 (interaction types). The
aliases are those of the release's judge prompt (`evaluate_gemini.py`), aligned by position.
"""

from __future__ import annotations

RELATIONSHIPS: tuple[str, ...] = (
    "Workplace",
    "Friends",
    "Intimate",
    "Family",
    "Adversarial",
    "Individual",
    "Social",
    "Authority",
)

INTERACTION_TYPES: tuple[str, ...] = (
    "Suggesting",
    "Conflict",
    "Questioning",
    "Narration",
    "Explanation",
    "Commands",
    "Dynamic Cross-talk",
    "Sympathizing",
    "Rejection",
    "Banter",
    "Authority Power",
    "Performance",
    "Reflection",
    "Emotion Release",
    "Invitation",
)

ALIASES: dict[str, str] = {
    "Persuasion": "Suggesting",
    "Storytelling": "Narration",
    "Dialogue Exchange": "Dynamic Cross-talk",
    "Support Reassurance": "Sympathizing",
    "Dismissal Rejection": "Rejection",
    "Social Banter": "Banter",
    "Performance Public": "Performance",
    "Introspection Reflection": "Reflection",
    "Invitation Social": "Invitation",
}
"""Other names of interaction types: read, never written."""


def _key(name: str) -> str:
    return " ".join(name.casefold().replace("_", " ").replace("-", " ").split())


_RELATIONSHIP_BY_KEY = {_key(name): name for name in RELATIONSHIPS}
_INTERACTION_BY_KEY = {_key(name): name for name in INTERACTION_TYPES} | {
    _key(alias): name for alias, name in ALIASES.items()
}


def relationship_name(label: str) -> str | None:
    """The Table 11 name of `label`, case, hyphens and underscores aside; None if it has none.

    >>> relationship_name("friends")
    'Friends'
    """
    return _RELATIONSHIP_BY_KEY.get(_key(label))


def interaction_type_name(label: str) -> str | None:
    """The Table 12 name of `label` or of the alias `label`; None if it has none.

    >>> interaction_type_name("Dialogue_Exchange")
    'Dynamic Cross-talk'
    """
    return _INTERACTION_BY_KEY.get(_key(label))
