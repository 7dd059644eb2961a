"""What is done. GET shows what would change, POST does it, and the audit trail has it before it
begins. Every route needs the operator's permission, and every POST a form of ours.
"""
