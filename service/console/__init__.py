"""The console: Clerk's answer beside our row, what arrived and why, and the actions that repair.

routes.py         one router for all of it, and the permission that each part needs
visit.py          a request by a person who may use the console: permission, forms, the audit trail
admission.py      a user's state, how their requests are answered, why, and what to do
access.py         permissions by the settings, and the limit on failed sign-ins
sign_in.py        signing in and out, and the static files
sign_ins.py       the sign-ins in the store, and what ends them
overview.py       the state in one sentence, with figures; charts.py computes its charts
deliveries.py     what arrived, and one delivery
users.py          one user beside Clerk's answer, and "sync now"
subscriptions.py  subscriptions to changes, and the actions on them
drift.py          the comparison with Clerk, and the repair
replay.py         the quarantine, and replays
audit.py          what operators did
timeouts.py       how long the console waits for Clerk
runs.py           long actions, which run in the background
answers.py        headers of every answer, and refusals as pages
rendering.py      the templates, and the words for times, values and reasons
room.py           what the pages and actions work with
templates/        Jinja2, autoescaped
static/           a style sheet, a script and htmx (0BSD); nothing from another origin
"""
