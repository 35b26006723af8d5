"""Other programs' protocols, one file each: a way in (Pyneal's) and three ways out."""
