"""From the files of databases and devices to a store of prepared records."""
