"""How fast we are, beside others who do the same work on the same store. `make bench` runs it.

__main__.py      the command line
contestants.py   who takes part, and how each is started
peers/           the others: the bound, the tutorial's way, the naive one; node/ the Node ones
works.py         what is asked of all of them
arrivals.py      the requests, byte for byte
client.py        asks as fast as it is answered, in a process of its own
store.py         one durable Postgres, a database with the same rows for each
rounds.py        takes turns, measures
pages.py         pages of 500 straight into the store, beside COPY
first_request.py what an unknown user waits beyond Clerk's own time
growth.py        the same at more and more rows;  curve.py  its picture
memory.py        how soon ready, and what a million requests leave behind
report.py        medians, ratios, spread;  picture.py  the same as an SVG
"""
