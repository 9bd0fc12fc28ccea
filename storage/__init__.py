"""The schemaless document store: collections of JSON documents over REST."""
