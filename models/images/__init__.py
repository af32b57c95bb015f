"""From the bytes of a photo to pixels, and whether the photo is good enough to judge by."""
