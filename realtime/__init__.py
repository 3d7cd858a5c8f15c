"""The live road: camera → hand → crop → embedding → match → gesture event → view."""
