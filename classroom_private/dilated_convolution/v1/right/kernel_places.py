import numpy as np


class Convolution:
    def __init__(self, weight, bias, dilation, padding):
        self.weight, self.bias, self.dilation = weight, bias, dilation
        self.full = padding == "same"

    def meets(self, image, a, b, height, width):
        below, right = a * self.dilation, b * self.dilation
        return image[:, below : below + height, right : right + width]

    def forward(self, x):
        reach = [self.dilation * (k - 1) for k in self.weight.shape[:2]]
        zeros = [r if self.full else 0 for r in reach]
        self.edge = [z // 2 for z in zeros]
        self.image = np.zeros((x.shape[0], x.shape[1] + zeros[0], x.shape[2] + zeros[1], x.shape[3]))
        self.inside = np.s_[:, self.edge[0] : self.edge[0] + x.shape[1], self.edge[1] : self.edge[1] + x.shape[2]]
        self.image[self.inside] = x
        height, width = self.image.shape[1] - reach[0], self.image.shape[2] - reach[1]
        y = np.zeros((x.shape[0], height, width, self.bias.size)) + self.bias
        for a, plane in enumerate(self.weight):
            for b, matrix in enumerate(plane):
                y += self.meets(self.image, a, b, height, width) @ matrix
        return y

    def backward(self, grad_y):
        _, height, width, _ = grad_y.shape
        self.grad_bias = np.einsum("nhwu->u", grad_y)
        self.grad_weight = np.empty_like(self.weight)
        back = np.zeros_like(self.image)
        for a, plane in enumerate(self.weight):
            for b, matrix in enumerate(plane):
                pixels = self.meets(self.image, a, b, height, width)
                self.grad_weight[a, b] = np.einsum("nhwc,nhwu->cu", pixels, grad_y)
                self.meets(back, a, b, height, width)[...] += grad_y @ matrix.T
        return back[self.inside]
