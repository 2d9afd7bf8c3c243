"""Instructions where none belong: in texts that a prompt quotes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from threatloop.core.assets import Dataset
from threatloop.core.defence import DefenceInfo, Stage
from threatloop.core.errors import NotAssessable
from threatloop.core.seeds import Streams
from threatloop.core.service import Speaking
from threatloop.core.serving import Respond, Reworded, TextFilter

if TYPE_CHECKING:
    from threatloop.algorithms.instruction_classifier import Reader
    from threatloop.modality.conversation import Record


class InjectionClassifier(TextFilter):
    """Refuses prompts that quote a text with an instruction in it, or takes the instruction out of the text.

    Two classifiers, logistic regression on words and letters, are trained when the model is first served. That of
    quoted texts knows own replies as clean, and the same with harmless instructions and own questions hidden in them;
    that of prompts knows own questions, and the same with instructions that mean to replace others. Quoted is what
    stands between the outermost lines of dashes, quotes or tags; a document is a text. Thresholds are set on own
    records that were not learnt from, put together as texts are. Sentences are read one by one and ``window`` in a row,
    so that a long text dilutes nothing.

    Stops questions and orders in plain words, in wordings that it never saw, and reported ones. Other languages,
    encodings and spelt-out words pass. It knows own texts: of texts of quite another kind it flags about half, so that
    ``false_alarms`` holds for what is like own records alone. Costs no answer of the model.

    Liu, Jia, Geng, Jia, Gong 2023, "Formalizing and Benchmarking Prompt Injection Attacks and Defenses", arXiv
    2310.12815, section 5.2 (detection); Hung, Ko, Rawat, Chung, Hsu, Chen 2024, "Attention Tracker", arXiv 2411.00348,
    section 2, on classifiers as detectors. Public ones are fine-tuned encoders of some hundred million weights; this
    one needs none, and knows the owner's texts.

    Attributes:
        action: ``refuse`` the prompt, or ``strip`` the sentences from the quoted text; a prompt whose own words are
            flagged is refused either way.
        window: sentences that are read together, ≥ 1.
        false_alarms: share of own texts, and of own prompts, that is flagged, in (0, .5].

    Raises:
        NotAssessable: fewer than 20 own prompts and fewer than 20 own replies that refuse nothing.
    """

    info: ClassVar[DefenceInfo] = DefenceInfo(
        title="Injection classifier",
        stage=Stage.SERVING,
        modalities=frozenset({"text"}),
        paper="Liu, Jia, Geng, Jia, Gong 2023, Formalizing and Benchmarking Prompt Injection Attacks and Defenses, "
        "arXiv 2310.12815, section 5.2",
        atlas=("AML.M0015", "AML.M0020"),
        reads_inputs=True,
    )

    action: Literal["refuse", "strip"] = "refuse"
    window: int = Field(default=2, ge=1)
    false_alarms: float = Field(default=0.02, gt=0, le=0.5)

    def reader(self, own: Dataset, streams: Streams) -> Reader:
        """What reads prompts, learnt from own records.

        Raises:
            NotAssessable: see the class.
        """
        from threatloop.algorithms.instruction_classifier import FEWEST, Reader, of_prompts, of_texts
        from threatloop.modality.conversation import read

        rng = streams.numpy("instructions")
        replies, questions = _said(read(own.x[rng.permutation(len(own))]))
        found = Reader(
            of_texts(replies, questions, self.window, self.false_alarms, rng),
            of_prompts(questions, self.window, self.false_alarms, rng),
        )
        if found.texts is None and found.prompts is None:
            raise NotAssessable(
                f"injection_classifier needs {FEWEST} own prompts or replies to know what is usual; it has "
                f"{len(questions)} and {len(replies)}"
            )
        return found

    def voiced(self, speaking: Speaking, scores: Respond, own: Dataset, streams: Streams) -> Speaking:  # noqa: ARG002
        from threatloop.algorithms.filtered_replies import Screened
        from threatloop.modality.conversation import read, write

        reader, strips = self.reader(own, streams), self.action == "strip"

        def blocked(x: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
            flags = [reader.flagged(record) for record in read(x)]
            return np.array([prompt or (text and not strips) for text, prompt in flags], np.bool_)

        def stripped(x: npt.NDArray[Any]) -> npt.NDArray[Any]:
            return write([reader.stripped(record) for record in read(x)])

        return Screened(Reworded(speaking, stripped) if strips else speaking, blocked)


def _said(records: Sequence[Record]) -> tuple[list[str], list[str]]:
    """Own texts without instructions: documents, and replies that refuse nothing. And what users ask."""
    from threatloop.algorithms.judges import refuses
    from threatloop.modality.conversation import said_in

    said = [one for record in records if (one := said_in(record)).strip()]
    replies = [one for one, refused in zip(said, refuses(said), strict=True) if not refused]
    turns = [turn for record in records if not isinstance(record, str) for turn in record]
    return replies, [turn.content for turn in turns if turn.role == "user" and turn.content.strip()]
