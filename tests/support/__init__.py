"""What several tests share: proxies that inject faults, a child that can be killed, multisets of rows."""
