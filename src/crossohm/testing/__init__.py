"""Contract tests that ship with the package: inherit them for models of your own."""
