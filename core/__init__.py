"""The floor: what two or more services share; imports no service."""
