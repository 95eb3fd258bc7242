def mean_square(x):
    flat = x.ravel()
    return flat @ flat / len(flat), x * (2 / len(flat))
