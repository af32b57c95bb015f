"""A marketplace with a known price law: photos, sellers, sales, refunds, drift."""
