"""Part III, the engine room of networks; nothing here depends on the rest of the package."""
