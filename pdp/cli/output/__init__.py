"""What commands print: reports for people, JSON, and the banner of the server."""
