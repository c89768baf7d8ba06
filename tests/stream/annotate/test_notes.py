"""What stands beside a committed offset is read back as it was written, whatever the group is called."""

from hypothesis import given
from hypothesis import strategies as st

from stream.annotate.notes import Note

_epochs = st.none() | st.from_regex(r"[A-Za-z0-9_-]{22}", fullmatch=True)
_owners = st.none() | st.text("ab -.:=0by", min_size=1, max_size=20)


@given(_epochs, _owners)
def test_a_note_is_read_back(epoch: str | None, owner: str | None) -> None:
    assert Note.parse(str(Note(epoch, owner))) == Note(epoch, owner)


@given(st.text(max_size=20).filter(lambda text: "epoch=" not in text and "by=" not in text))
def test_what_others_keep_beside_an_offset_is_no_note(text: str) -> None:
    assert Note.parse(text) == Note()
