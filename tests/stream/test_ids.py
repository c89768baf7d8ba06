"""Names that must not be mistaken for each other."""

from hypothesis import given
from hypothesis import strategies as st

from stream.ids import member_transactional_id, transactional_id

_groups = st.text("ab-.:0", min_size=1, max_size=6)
_topics = st.text("ab-._0", min_size=1, max_size=6)
"""Of what Kafka allows in a topic's name, the colon is not part."""
_owners = st.tuples(_groups, _topics, st.integers(0, 11))


@given(_owners, _owners)
def test_no_two_owners_share_a_transactional_id(
    one: tuple[str, str, int], other: tuple[str, str, int]
) -> None:
    assert (transactional_id(*one) == transactional_id(*other)) == (one == other)


_members = st.tuples(_groups, _topics, st.integers(0, 11), st.integers(0, 11))
"""Kafka makes a member's id of its client's name and a UUID: none is another's, with or without colons."""


@given(_members, _members)
def test_no_two_generations_share_a_transactional_id(
    one: tuple[str, str, int, int], other: tuple[str, str, int, int]
) -> None:
    assert (member_transactional_id(*one) == member_transactional_id(*other)) == (one == other)


def test_what_a_hyphen_would_join_stays_apart() -> None:
    assert transactional_id("team", "a-x", 0) != transactional_id("team-a", "x", 0)
