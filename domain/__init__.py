"""What is true about users, and the one rule that keeps it true.

Everything we learn about a user is an observation. The stored state becomes the greater of the
stored state and the observed one, so observations may come twice, late, out of order or all at
once: the table ends the same. `user.py` holds that rule; nothing else compares versions.

Standard library only, frozen values, no I/O.
"""
