"""Which of several ways to ask works: the ways that worked on other questions are tried first."""

from __future__ import annotations

from collections.abc import Mapping

from threatloop.algorithms.jailbreak import ANSWERED, Campaign
from threatloop.algorithms.transformations import Transformation, combined


def best_of(campaign: Campaign, ways: Mapping[str, Transformation], combine: bool = True) -> dict[str, float]:
    """Try ways on every open question until it is answered, no way is left, or the queries are spent.

    In every round each open question is asked in the untried way with the most success so far, by the mean of a Beta
    posterior; ways with the same are taken in turn, so that the first round tries them all.

    Args:
        campaign: what is asked.
        ways: by name, in the order in which they are tried.
        combine: go on with two ways at once, the likeliest pairs first.

    Returns:
        Of each way, the share of its tries that were answered; of those tried.
    """
    pairs = {f"{a}+{b}": combined(ways[a], ways[b]) for a in ways for b in ways if a != b} if combine else {}
    everything = {**ways, **pairs}
    tried: dict[int, set[str]] = {goal: set() for goal in campaign.open}
    wins, tries = dict.fromkeys(everything, 0), dict.fromkeys(everything, 0)

    def hope(name: str) -> float:
        """The posterior mean; for pairs never tried, that of the better of both, a little less."""
        if tries[name] or name in ways:
            return (wins[name] + 0.5) / (tries[name] + 2)
        return max(hope(one) for one in name.split("+")) * 0.9

    while goals := campaign.open:
        round_: list[tuple[int, str]] = []
        taken = dict.fromkeys(everything, 0)
        for goal in goals:
            # Singles come first: a pair that works says less about what the victim fails at.
            left = [name for name in ways if name not in tried[goal]] or [n for n in pairs if n not in tried[goal]]
            if left:
                # `max` takes the first of equals; one that many ask in this round already gives way to others.
                chosen = max(left, key=lambda name: (hope(name), -taken[name]))
                taken[chosen] += 1
                tried[goal].add(chosen)
                round_.append((goal, chosen))
        if not round_:
            break
        replies = campaign.ask([(goal, everything[name](campaign.goals[goal].chat)) for goal, name in round_])
        for (goal, name), reply in zip(round_, replies, strict=True):
            tries[name] += 1
            wins[name] += campaign.judged(goal, reply) == ANSWERED
    return {name: wins[name] / n for name, n in tries.items() if n}
