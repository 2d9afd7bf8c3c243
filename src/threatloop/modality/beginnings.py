"""Beginnings of records, what follows them, and records that a model has gone on with."""

from __future__ import annotations

from threatloop.modality.conversation import SEPARATOR, Chat, Record, Turn, prompt_of, reply_of, spelled


def spoken(chat: Chat) -> str:
    """All that the assistant says, a line for each turn."""
    return "\n".join(turn.content for turn in chat if turn.role == "assistant")


def begun(record: Record, share: float) -> Record:
    """What somebody knows of a record who knows its beginning.

    A document's first ``share`` of characters, cut before white space where there is some in their second half; a
    conversation up to the assistant's last turn.
    """
    return prompt_of(record) if not isinstance(record, str) else record[: _cut(record, share)]


def rest_of(record: Record, share: float) -> str:
    """What follows `begun`."""
    return reply_of(record) if not isinstance(record, str) else record[_cut(record, share) :]


def gone_on(prompt: Record, reply: str, width: int) -> Record:
    """A prompt with what was written behind it, of which as much is kept as fits into ``width`` bytes."""
    said = reply.replace(SEPARATOR, "").replace("\0", "")
    open_record: Record = prompt if isinstance(prompt, str) else (*prompt, Turn("assistant", ""))
    room = max(0, width - len(spelled(open_record).encode()))
    kept = said.encode()[:room].decode(errors="ignore")
    return prompt + kept if isinstance(prompt, str) else (*prompt, Turn("assistant", kept))


def _cut(text: str, share: float) -> int:
    """Where a beginning ends: two characters at least, and before white space if possible, where tokens end too."""
    place = max(2, round(share * len(text)))
    spaces = [i for i in range(max(2, place // 2), min(place + 1, len(text))) if text[i].isspace()]
    return spaces[-1] if spaces else place
