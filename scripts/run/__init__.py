"""`make run` and `make demo`: the service, its store and its Clerk, and the main job shown on them.

__main__.py    what is started, and how it ends
children.py    processes, and the lines they write
clerk.py       the emulated Clerk, over HTTP
story.py       what happens, and what should come of it
screen.py      how it is shown
"""
