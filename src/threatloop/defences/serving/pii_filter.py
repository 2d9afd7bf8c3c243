"""Personal data in replies."""

from __future__ import annotations

from typing import ClassVar

from threatloop.core.assets import Dataset
from threatloop.core.defence import DefenceInfo, Stage
from threatloop.core.seeds import Streams
from threatloop.core.service import Speaking
from threatloop.core.serving import Respond, TextFilter
from threatloop.modality.conversation import Record, text_of


class PiiFilter(TextFilter):
    """Puts the kind in place of whatever looks like a secret in a reply, such as ``[e-mail]``.

    E-mail addresses, IBANs and card numbers with their check digits, telephone numbers, network addresses, keys and
    numbers of eight digits or more; what the prompt holds itself is repeated. Costs next to nothing.

    Patterns know no names, and nothing that is spelled in another way: whoever asks for digits in words gets them.
    Next-token log-probabilities are not looked at, so whoever reads those spells the reply himself: restrict them too.

    Carlini et al. 2021, "Extracting Training Data from Large Language Models", arXiv 2012.07805, section 7; Lukas et
    al. 2023, "Analyzing Leakage of Personally Identifiable Information in Language Models", arXiv 2302.00539, section
    2, on what scrubbing leaves.
    """

    info: ClassVar[DefenceInfo] = DefenceInfo(
        title="Personal-data output filter",
        stage=Stage.SERVING,
        modalities=frozenset({"text"}),
        paper="Lukas et al. 2023, Analyzing Leakage of Personally Identifiable Information in Language Models, arXiv "
        "2302.00539, section 2",
        atlas=("AML.M0002", "AML.M0020"),
    )

    def voiced(self, speaking: Speaking, scores: Respond, own: Dataset, streams: Streams) -> Speaking:  # noqa: ARG002
        from threatloop.algorithms.filtered_replies import Edited
        from threatloop.algorithms.personal import without_secrets

        def edited(prompt: Record, reply: str) -> str:
            return without_secrets(reply, text_of(prompt))

        return Edited(speaking, edited)
