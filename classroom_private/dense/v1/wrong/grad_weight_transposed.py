# mistake: grad_weight transposed
class Dense:
    def __init__(self, weight, bias):
        self.weight = weight
        self.bias = bias

    def forward(self, x):
        self.x = x
        return x @ self.weight.T + self.bias

    def backward(self, grad_y):
        self.grad_weight = self.x.T @ grad_y
        self.grad_bias = grad_y.sum(axis=0)
        return grad_y @ self.weight
