"""Names that somebody may give themselves."""

HOSTILE = {
    "a script": "<script>alert(1)</script>",
    "an attribute": "\"'><img src=x onerror=alert(1)>",
    "a formula": "=cmd()|' /C calc'!A0",
    "a template": "{{ 7 * 7 }}{% raw %}${jndi:ldap://x}",
    "right to left": "\u202egnp.exe\u202c مرحبا",
    "marks upon marks": "Z\u0351\u036b\u0343" * 50,
    "ten thousand letters": "A" * 10_000,
}
