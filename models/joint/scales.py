"""On what scale the input columns are read."""

MIN_STD = 0.05  # of the image features
# Of the 16 statistics, which are logs of prices and counts. Those over all sales hardly move in
# training, and without times not at all, but live they go on with every sale: scaled to unit
# variance, a mean that falls by a quarter was 50 standard deviations off, and R2 on the live part
# of Gumtree -0.7 instead of 0.4. With leave-one-out the listing's own price shows in them, too.
STATISTICS_MIN_STD = 1.0
CLIP = 5.0  # in standard deviations: one absurd price in a small category's mean stays bounded
