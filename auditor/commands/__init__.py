"""The auditor's commands: options, calls, exit status. Rules are handed in as a `Contest`; nothing here knows them."""
