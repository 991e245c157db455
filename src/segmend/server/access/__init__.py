"""Who may do what: accounts, logins, tokens, roles per project, and the routes for them."""
