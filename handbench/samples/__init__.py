"""Shape rows on their way into a file: crops, images, grouping, the `val` cut."""
