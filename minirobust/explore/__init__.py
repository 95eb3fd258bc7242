"""The page with the temperature slider, `minirobust explore`: a server, its workers, and the page itself."""
