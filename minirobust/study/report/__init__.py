"""A study's figures, and the page that shows them with the claims."""
