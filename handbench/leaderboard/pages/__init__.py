"""The pages of the site, a module a kind: what each says, ready for its template."""
