"""Two hundred entries of the journal, and the entries that a page lists."""

import re

import httpx

FILL = """
insert into sync_journal (svix_id, event_type, clerk_id, source, outcome, received_at, occurred_at)
select 'msg_' || n, 'user.updated', 'user_' || n % 7, 'webhook',
    case when n % 10 = 0 then 'stale' when n % 3 = 0 then 'unchanged' else 'updated' end,
    now() - interval '1 min' * (200 - n), now() - interval '1 min' * (200 - n)
from generate_series(1, 200) as n
"""

_ENTRY = re.compile(r'<td class="nowrap"><a href="/console/deliveries/([0-9]+)">')


async def entries_of(page: httpx.Response) -> list[int]:
    return [int(entry) for entry in _ENTRY.findall(page.text)]
