"""What keeping reports fresh costs, and what the guards on events and allocations cost a bulk import."""
