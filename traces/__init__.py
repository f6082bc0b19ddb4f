"""People's movement: loaders, a synthetic campus, cropping, attachment to access points."""
