"""Random observations of one user, dense enough that ties and repetitions are common."""

from hypothesis import strategies as st

from domain.user import DeletedUser, EmailAddress, User, UserChange, UserId
from tests.people import at

ADDRESSES = (EmailAddress(address="b@x.io", verified=True, primary=True),)

moments = st.integers(0, 3).map(at)


def users(user_id: UserId) -> st.SearchStrategy[User]:
    return st.builds(
        User,
        clerk_id=st.just(user_id),
        clerk_updated_at=moments,
        observed_at=moments,
        email=st.sampled_from([None, "a@x.io", "b@x.io"]),
        public_metadata=st.sampled_from([{}, {"plan": "pro"}]),
        email_addresses=st.sampled_from([(), ADDRESSES]),
        last_sign_in_at=st.none() | moments,
    )


def deletions(user_id: UserId) -> st.SearchStrategy[DeletedUser]:
    return st.builds(DeletedUser, clerk_id=st.just(user_id), deleted_at=moments)


def changes(user_id: UserId) -> st.SearchStrategy[UserChange]:
    return st.one_of(users(user_id), users(user_id), users(user_id), deletions(user_id))
