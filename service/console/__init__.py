"""The console: what Clerk says, what we have, what happened and why, and how to put it right.

routes.py      all of it as one router, and which permission each part needs
permission.py  those permissions, as dependencies
access/        who may come in: tokens, sessions, tickets, how often one may guess
pages/         what is shown, one module a page
actions/       what is done: a confirmation first, an audit row always
runs.py        long actions, in the background
room.py        what the pages and actions work with
answers.py     every answer's headers; refusals as pages
forms.py       a posted form, read without trusting it
rendering.py   the templates, and what each of them is told
charts.py      numbers as places in an SVG
words.py       times and values as people read them
reasons.py     why a delivery did what it did
names.py       the actions, as the audit trail calls them
templates/     Jinja2, autoescaped
static/        one style sheet, one small script, htmx (0BSD); nothing from another origin
"""
