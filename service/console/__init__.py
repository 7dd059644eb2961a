"""The console: what Clerk says, what we have, what happened and why, and how to put it right.

room.py      what the pages and actions work with
access/      who may come in, and who may act: tokens, sessions, tickets, forgery
pages/       what is shown, one module a page
actions/     what is done: a confirmation first, an audit row always
routes.py    all of it as one router, off until configured
answers.py   every answer's headers; refusals as pages
charts.py    numbers as SVG
words.py     times, spans and values as people read them
templates/   Jinja2, autoescaped
static/      one style sheet, one small script, htmx; from no other origin
"""
