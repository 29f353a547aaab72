"""What a repository's maintainers decided about findings: waivers, a baseline, and how both meet the reports."""
