"""The founding paper's tables, measured: every service, both ladders, both triggers, many connections."""
