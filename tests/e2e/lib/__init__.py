"""What the end-to-end tests share: a DNS client, regions, the server under test."""
