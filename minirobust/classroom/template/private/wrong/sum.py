# mistake: sum
def mean_square(x):
    return (x**2).sum(), 2 * x / x.size
