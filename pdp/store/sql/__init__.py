"""The store in a database that speaks SQL: what SQLite and PostgreSQL share.

The statements are written once. `dialect` puts them into the words of a database.
"""
