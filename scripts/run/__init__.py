"""`make run` and `make demo`: the service, its database and an emulated Clerk, and a demo on them.

__main__.py    starts and stops the processes
children.py    child processes and the lines they print
clerk.py       the emulated Clerk over HTTP
shop.py        a service that reads the changes
tokens.py      the tokens, which stay the same
story.py       the steps of the demo and their expected results
screen.py      what is printed
"""
