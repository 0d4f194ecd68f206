"""The local cloud of demo and tests: real Alerta, real PostgreSQL, a stand-in for Atlassian over real SQS."""
