ESCAPES = (
    "in the user name and the password write % as %25, @ as %40, / as %2F, ? as %3F, # as %23, "
    "[ as %5B, ] as %5D"
)


class AddressRefused(ValueError):
    """A database address that cannot be used. The words name the option and hold no value."""

    def __init__(self, reason: str, option: str = "") -> None:
        super().__init__(f"{option}: {reason}" if option else reason)
        self.option = option
