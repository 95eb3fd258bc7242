# mistake: n missing
def mean_square(x):
    return (x**2).mean(), 2 * x
