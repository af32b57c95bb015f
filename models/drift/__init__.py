"""How far what comes in has moved from what a model learnt from."""
