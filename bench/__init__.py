"""Compare our speed with that of other services on the same store: `make bench`.

__main__.py      the command line
contestants.py   the services that are compared, and how each is started
peers/           the plain server, the tutorial's, the naive one; node/ those in Node
works.py         the kinds of requests
arrivals.py      the requests, byte for byte;  signed_in.py  whose they are
client.py        the client, in its own process
store.py         one durable Postgres, with the same rows in a database for each service
rounds.py        rounds in which the services take turns; a disturbed turn is repeated
processes.py     CPU and memory of the service and the store;  interpreter.py  how Python was built
pages.py         pages of 500 users written to the store, compared with COPY
first_request.py the time of a first request, less Clerk's
growth.py        the same with more rows;  curve.py  its picture
memory.py        the time until ready, and the memory after a million requests
report.py        medians, ratios, spread;  picture.py  the same as an SVG
"""
