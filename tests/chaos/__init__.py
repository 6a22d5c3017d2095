"""Workers under attack, and whether every number still comes out right (docs/guarantees.md)."""
