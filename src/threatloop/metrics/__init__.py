"""How the engine grades what attacks return."""
