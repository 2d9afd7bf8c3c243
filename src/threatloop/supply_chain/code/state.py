"""What is known at one point of the code."""

from __future__ import annotations

from dataclasses import dataclass, field

from threatloop.supply_chain.code.values import NOWHERE, Origins, Value


@dataclass
class State:
    """What is known at a point: variables by name, fields of ``self``, and what was written to which path."""

    variables: dict[str, Value] = field(default_factory=dict)
    fields: dict[str, Value] = field(default_factory=dict)
    places: dict[str, Origins] = field(default_factory=dict)

    def copy(self) -> State:
        # Fields are shared: a method that sets one sets it for the object.
        return State(dict(self.variables), self.fields, dict(self.places))

    def join(self, other: State) -> None:
        """Either of the two states."""
        for name, value in other.variables.items():
            mine = self.variables.get(name)
            self.variables[name] = value if mine is None else mine | value
        for place, origins in other.places.items():
            self.places[place] = self.places.get(place, NOWHERE) | origins
